"""What travels with a submitted job: the working folder, and the code that the job may run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gauntlet.jobs.cluster import entry
from gauntlet.pipeline.problems import BadInput, Problem

LIMIT = 100 * 2**20
"""Most bytes of a working folder: every node unpacks it."""
SHOWN = 3
"""Entries of a folder that is too large that a message names."""
ENTRY = "gauntlet_entry.py"
"""Name of `entry` beside the job."""
IMPORTS = "gauntlet_imports"
"""Folder of the code that lies elsewhere."""
_LEFT_BEHIND = frozenset({"__pycache__", ".git", ".venv", "venv", ".mypy_cache", ".ruff_cache"})
_KEYS = frozenset({".env", ".netrc", ".aws", ".ssh", ".kube"})
"""Where keys and passwords are kept."""


@contextmanager
def packed(folder: Path, allowed: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder to send, and the values of ``--allow-imports`` and ``--parts`` there.

    Runs, virtual environments, keys, what version control keeps and links upwards stay behind; what
    other links lead to comes along, and so does a folder of code that lies elsewhere. A package is
    named as it is, and has to be installed there.

    Args:
        folder: the working folder.
        allowed: values of ``--allow-imports`` and ``--parts`` here.

    Raises:
        BadInput: when the folder is too large to be sent, or cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as place:
        parcel = Path(place) / "job"
        try:
            _copy(folder, parcel)
            shutil.copy(entry.__file__, parcel / ENTRY)
            there = [_carried(value, folder, parcel) for value in allowed]
        except OSError as error:
            what = f"what goes along cannot be copied: {error}"
            raise BadInput(Problem("submit", what)) from None
        yield parcel, there


def _copy(folder: Path, into: Path) -> None:
    _refuse_large(folder)
    shutil.copytree(folder, into, ignore=_left_behind, ignore_dangling_symlinks=True)


def _carried(value: str, folder: Path, parcel: Path) -> str:
    """Return what an allowed folder or file is called in the parcel, after putting it there."""
    is_file = value.endswith(".py")
    if not is_file and "/" not in value and value not in (".", "..", "~"):
        return value
    path = Path(value).expanduser().resolve()
    if path.is_relative_to(folder.resolve()):
        return f"./{path.relative_to(folder.resolve())}"
    name = f"{IMPORTS}/{len(list((parcel / IMPORTS).glob('*')))}"
    if is_file:
        (parcel / name).mkdir(parents=True)
        shutil.copy(path, parcel / name)
        return f"./{name}/{path.name}"
    if not path.is_dir():
        raise BadInput(Problem("--allow-imports", f"{value}: no such folder"))
    _copy(path, parcel / name)
    return f"./{name}"


def _left_behind(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if _stays(Path(folder, name))}


def _stays(path: Path) -> bool:
    is_run = (path / "plan.json").exists() or (path / "record").is_dir()
    upwards = path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())
    known = path.is_dir() or path.is_file()
    return path.name in _LEFT_BEHIND | _KEYS or is_run or upwards or not known


def _refuse_large(folder: Path) -> None:
    sizes: dict[str, int] = {}
    for path in sorted(folder.iterdir()):
        if not _stays(path):
            sizes[path.name] = _size(path)
    if sum(sizes.values()) <= LIMIT:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:SHOWN]
    named = ", ".join(f"{name} {sizes[name] / 2**20:,.0f} MB" for name in largest)
    what = (
        f"{folder} takes at least {sum(sizes.values()) / 2**20:,.0f} MB, more than the "
        f"{LIMIT / 2**20:,.0f} MB that are sent to every node ({named}): put data where all nodes "
        "read them, name that with --set root=FOLDER, and submit from a folder without them"
    )
    raise BadInput(Problem("submit", what))


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, names, files in os.walk(path, followlinks=True):
        names[:] = [name for name in names if not _stays(Path(folder, name))]
        there = (Path(folder, name) for name in files)
        total += sum(file.stat().st_size for file in there if file.is_file())
        if total > LIMIT:  # two links that lead to each other would have no end
            break
    return total
