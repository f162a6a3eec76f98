"""Finding job files and runs, naming run folders, and making room for what is written."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from gauntlet.pipeline.problems import BadInput, Problem, suggest
from gauntlet.pipeline.results.reading import occupied
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.store_address import below

_BUNDLED = Path(__file__).resolve().parents[1] / "bundled"


_FORMERLY = {
    former: f"paper/ir-table{number}"
    for number in (3, 4, 6, 7, 8, 9)
    for former in (f"interactions/table{number}", f"table{number}")
}
"""Bundled jobs by the names that they once had."""


def bundled_jobs() -> list[str]:
    """Return the names of the jobs that come with the package, such as `interactions/cifar10`."""
    paths = _BUNDLED.rglob("*.yaml")
    return sorted(path.relative_to(_BUNDLED).with_suffix("").as_posix() for path in paths)


def _bundled(name: str) -> Path | None:
    """Return a bundled job: by its path without suffix, or by its last name if only one has it."""
    known = bundled_jobs()
    plain = name.removesuffix(".yaml")
    plain = _FORMERLY.get(plain, plain)
    found = [plain] if plain in known else [job for job in known if job.endswith(f"/{plain}")]
    return _BUNDLED / f"{found[0]}.yaml" if len(found) == 1 else None


def find_job(name: str) -> Path:
    """Return a job's file: a path, or the name of a bundled job.

    A bundled job goes by its path below the bundled ones without suffix (`interactions/cifar10`),
    or by its last name alone where only one has it; at the top level the shorter path wins. Former
    names are found still.

    Raises:
        BadInput: when it is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    if not path.exists() and (found := _bundled(name)) is not None:
        return found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found
    if path.is_dir():
        raise BadInput(Problem(name, "is a folder; expected a job file"))
    if path.suffix in (".yaml", ".yml") or path.name != name:
        raise BadInput(Problem(name, "no such job file"))
    raise BadInput(Problem(name, suggest(name, bundled_jobs(), "job, and no file of that name:")))


def make_room(files: Mapping[str, Path | None], folders: Mapping[str, Path | None]) -> None:
    """Make the folders that outputs go to, once all of the outputs can be.

    Args:
        files: the file that each option asks for, if any.
        folders: the folder that each option asks for, if any.

    Raises:
        BadInput: with every option whose file or folder cannot be written.
    """
    problems: list[Problem] = []
    needed: dict[str, Path] = {}
    for option, path in files.items():
        if path is None:
            continue
        if path.is_dir():
            problems.append(Problem(option, f"{path} is a folder; expected a file"))
        elif path.exists() and not os.access(path, os.W_OK):
            problems.append(Problem(option, f"{path} must not be written"))
        needed[option] = path.parent
    needed |= {option: path for option, path in folders.items() if path is not None}
    for option, folder in needed.items():
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not there.is_dir():
            problems.append(Problem(option, f"{there} is a file; expected a folder"))
        elif not os.access(there, os.W_OK | os.X_OK):
            problems.append(Problem(option, f"folder {there} must not be written"))
    if problems:
        raise BadInput(problems)
    for folder in needed.values():
        folder.mkdir(parents=True, exist_ok=True)


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
        if held := occupied(out):
            raise BadInput(Problem("--out", f"{out} {held}, or choose another folder"))
        return out
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = below(output, stem), 2
    while RunFolder(folder).holds_run():
        folder, number = below(output, f"{stem}-{number}"), number + 1
    return folder
