"""Finding job files, and naming run folders."""

from __future__ import annotations

import time
from pathlib import Path

from pipeline.problems import BadInput, Problem, suggest
from pipeline.results.folder import RunFolder

_BUNDLED = Path(__file__).parent


def bundled_jobs() -> list[str]:
    """Return the names of the jobs that come with the package."""
    return sorted(path.stem for path in _BUNDLED.glob("*.yaml"))


def find_job(name: str) -> Path:
    """Return a job's file: a path, or the name of a bundled job.

    Raises:
        BadInput: when it is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.name == name and (_BUNDLED / f"{path.stem}.yaml").is_file() and not path.exists():
        found = _BUNDLED / f"{path.stem}.yaml"
        return found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found
    if path.is_dir():
        raise BadInput(Problem(name, "is a folder; expected a job file"))
    if path.suffix in (".yaml", ".yml") or path.name != name:
        raise BadInput(Problem(name, "no such job file"))
    raise BadInput(Problem(name, suggest(name, bundled_jobs(), "job, and no file of that name:")))


def new_run_folder(name: str, output: str, out: str | None) -> str:
    """Return the folder for a new run.

    Args:
        name: the job's.
        output: where the job puts its runs.
        out: the folder that the person asked for, if any.

    Raises:
        BadInput: when the folder asked for holds a run already.
    """
    if out is not None:
        if RunFolder(out).exists():
            raise BadInput(
                Problem(
                    "--out",
                    f"{out} holds a run already; go on with `gauntlet resume {out}`, or choose "
                    "another folder",
                )
            )
        return out
    stem = f"{output.rstrip('/')}/{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = stem, 2
    while RunFolder(folder).exists():
        folder, number = f"{stem}-{number}", number + 1
    return folder
