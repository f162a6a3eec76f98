"""From where `import:` may run code: of the person, not of whoever wrote the job.

A job file is something that people get from others, so nothing in it, its `root` included, can give
this permission. It comes from where the job lies, from where the command is given and from what the
command names, is handed down to whatever builds models, and is stored nowhere. A process holds it
for data sets of the person's own: examples travel between processes that have other folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gauntlet import pipeline
from gauntlet.pipeline.discovery import VARIABLE as VARIABLE
from gauntlet.pipeline.problems import BadInput, Problem

OPTION = "--allow-imports"
PARTS = "--parts"

_PROJECT = Path(pipeline.__file__).resolve().parents[1]
_OWN_PACKAGES = tuple(_PROJECT / name for name in ("pipeline", "actors", "jobs", "gauntlet"))


@dataclass(frozen=True)
class Place:
    """A folder whose modules may be run.

    Attributes:
        folder: absolute, without symbolic links.
        why: why it may, in words that follow its name: "the working directory".
    """

    folder: Path
    why: str

    def __str__(self) -> str:
        return f"{self.folder} ({self.why})"


@dataclass(frozen=True)
class Permission:
    """The folders and installed packages whose code may be run. By default there are none.

    Attributes:
        places: the folders, in the order in which a module is looked for.
        packages: names of installed packages or modules, with everything inside them.
        files: Python files that the person named themselves, absolute, without symbolic links.
    """

    places: tuple[Place, ...] = ()
    packages: frozenset[str] = frozenset()
    files: tuple[Path, ...] = ()

    def candidates(self, module: str) -> Iterator[Path]:
        """Yield the file that a module's name stands for in each place that has one."""
        *packages, last = module.split(".")
        for place in self.places:
            folder = place.folder.joinpath(*packages)
            files = (folder / last / "__init__.py", folder / f"{last}.py")
            yield from [path for path in files if os.path.isfile(path)][:1]

    def holds(self, file: Path) -> bool:
        """Return whether a file is a module of a place: in it, or in a package in it.

        A folder without `__init__.py` ends a package: a data set or an environment below the
        working directory is none of the person's modules. Links count as what they lead to.
        """
        real = file.resolve()
        if real in self.files:
            return True
        if any(real.is_relative_to(package) for package in _OWN_PACKAGES):
            return False
        return any(_in_packages(real, place.folder) for place in self.places)

    def outermost(self, file: Path) -> list[Path]:
        """Return, of each place that a file is in, the module or package folder that it is in."""
        folders = (place.folder for place in self.places)
        inside = (folder for folder in folders if _in_packages(file, folder))
        return [folder / file.relative_to(folder).parts[0] for folder in inside]

    def covers(self, module: str) -> bool:
        """Return whether a module is a named package or inside one."""
        return any(module == name or module.startswith(f"{name}.") for name in self.packages)

    def __str__(self) -> str:
        return " and ".join(map(str, self.places)) or "no folder"


NOTHING = Permission()
_held = NOTHING


def permit(permission: Permission) -> None:
    """Let this process run code for its data; takes the place of what was permitted before."""
    global _held
    _held = permission


def permitted() -> Permission:
    """Return what this process may run for its data; nothing unless a command has said so."""
    return _held


def granted(
    allowed: Iterable[str] = (), *, job: Path | None = None, root: Path | None = None
) -> Permission:
    """Return what a command may run, which always includes the modules of the working directory.

    Args:
        allowed: values of ``--allow-imports``: a folder, written with a slash (``./nets``, ``.``),
            or the name of an installed package; and of ``--parts``: a file, ``NAME.py``.
        job: folder of the job file, if there is one.
        root: the `root` given on the command line, if it was.

    Raises:
        BadInput: when a value names no folder and can be no package.
    """
    found = ((job, "beside the job file"), (Path(), "the working directory"), (root, "--set root"))
    places = [Place(folder.resolve(), why) for folder, why in found if folder is not None]
    packages: set[str] = set()
    files: list[Path] = []
    for option, values in ((OPTION, allowed), (VARIABLE, _from_environment())):
        for value in values:
            if option == OPTION and value.endswith(".py"):
                files.append(_file(value))
            elif "/" in value or os.sep in value or value in (".", "..", "~"):
                places.append(Place(_folder(value, option), option))
            else:
                packages.add(_package(value, option))
    return Permission(_each_once(places), frozenset(packages), tuple(dict.fromkeys(files)))


def _from_environment() -> list[str]:
    return [entry for entry in os.environ.get(VARIABLE, "").split(":") if entry]


def _folder(value: str, option: str) -> Path:
    folder = Path(value).expanduser().resolve()
    # The environment is there for every command: a folder that is gone must not stop them all.
    if option == OPTION and not folder.is_dir():
        raise BadInput(Problem(option, f"no folder {folder}"))
    return folder


def _file(value: str) -> Path:
    file = Path(value).expanduser().resolve()
    if not file.is_file():
        raise BadInput(Problem(PARTS, f"no file {file}"))
    return file


def _package(value: str, option: str) -> str:
    if not is_module_name(value):
        what = f"expected a folder, written with a slash, or a package's name, got {value!r}"
        raise BadInput(Problem(option, what))
    return value


def _each_once(places: Sequence[Place]) -> tuple[Place, ...]:
    first: dict[Path, Place] = {}
    for place in places:
        first.setdefault(place.folder, place)
    return tuple(first.values())


def is_module_name(text: str) -> bool:
    """Return whether a text is names with dots between them: no path, no relative import."""
    return all(part.isidentifier() and not part.startswith("__") for part in text.split("."))


def _in_packages(file: Path, folder: Path) -> bool:
    if not file.is_relative_to(folder):
        return False
    between = file.parent
    while between != folder:
        if not os.path.isfile(between / "__init__.py"):
            return False
        between = between.parent
    return True
