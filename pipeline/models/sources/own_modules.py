"""Finding and running the modules of `import:` sources, under the names that they have at home.

A module is found by its file, before anything of it is run: to ask Python for ``a.b`` would run
``a``. Its own imports see the permitted folders as a script sees the folder that it lies in: before
installed packages. The standard library is never hidden.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from gauntlet.pipeline.models.sources.permission import (
    OPTION,
    Permission,
    is_module_name,
)
from gauntlet.pipeline.problems import BadInput, Problem


def find_module(name: str, permission: Permission, root: Path) -> Path | None:
    """Return the file of a module that may be run; None for one of a permitted package.

    Nothing is run, not even the packages around the module.

    Args:
        name: such as ``nets`` or ``nets.small``.
        permission: what may be run.
        root: the job's `root`, which is not trusted; only for the message about a miss.

    Raises:
        BadInput: when there is none, or when it may not be run; says where it was looked for, or
            what to add to the command.
    """
    if not is_module_name(name):
        raise _refused(f"expected import:package.module:factory, got {name!r} as the module")
    top = name.partition(".")[0]
    if permission.covers(name):
        return None
    file = next(permission.candidates(name), None)
    if top in sys.stdlib_module_names:
        if file is not None:
            raise _refused(f"{file} has the name of a module of the standard library; rename it")
        raise _refused(_not_yours(name, "belongs to the standard library", permission))
    if file is not None:
        return _permitted(name, file, permission)
    if _is_installed(top):
        raise _refused(_not_yours(name, "is an installed package", permission))
    raise _refused(_missed(name, permission, root))


def run_module(name: str, file: Path | None, permission: Permission) -> ModuleType:
    """Return a module that `find_module` has found, running it if it has not been run.

    Raises:
        BadInput: when it fails, exits, or has the name of another module that is in use.
    """
    _Finder.install(permission)
    if file is not None:
        _refuse_namesakes(name, file)
    importlib.invalidate_caches()
    where = f"importing {file or name}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _refused(
            f"{where} failed: {error}; install that package, or put the module beside it"
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a module may do anything
        raise _refused(f"{where} failed: {told(error)}") from error


def told(error: BaseException) -> str:
    """Return what a person's code raised, in words."""
    if isinstance(error, SystemExit):
        return f"it left Python (exit code {error.code})"
    return f"{type(error).__name__}: {error}"


def modules_to_carry(ran: Iterable[Path], permission: Permission) -> list[Path]:
    """Return the files and package folders that another machine needs to run modules.

    Args:
        ran: files of modules that have been run here.
        permission: what they were run by.

    Returns:
        The modules, and what they have imported from the permitted folders.
    """
    served = _Finder.installed.served.values() if _Finder.installed else ()
    files = (*ran, *served)
    return list(dict.fromkeys(path for file in files for path in permission.outermost(file)))


def _permitted(name: str, file: Path, permission: Permission) -> Path:
    """Return a found file, once it and the packages around it may be run."""
    for _, path in _way(name, file):
        if not path.is_file():
            what = f"{path.parent} is no package: it has no __init__.py"
            hint = f"to run {file.name} alone, add {OPTION} {file.parent} and name it {file.stem!r}"
            raise _refused(f"{what}; {hint}")
        if permission.holds(path):
            continue
        real = path.resolve()
        if real == path:
            raise _refused(f"{path} is Gauntlet's own: its modules are no factories of networks")
        what = f"{path} leads to {real}; to run what is there, add: {OPTION} {real.parent}"
        raise _refused(what)
    return file


def _not_yours(name: str, what: str, permission: Permission) -> str:
    top = name.partition(".")[0]
    return (
        f"{name!r} {what}; a job runs only code of yours, from {permission}; "
        f"if you trust this job with that package, add: {OPTION} {top}"
    )


def _missed(name: str, permission: Permission, root: Path) -> str:
    path = name.replace(".", "/")
    what = (
        f"no module {name!r}: looked for {path}.py and {path}/__init__.py in {permission}, and "
        "among installed packages"
    )
    *way, last = name.split(".")
    below = root.joinpath(*way)
    if (below / f"{last}.py").is_file() or (below / last / "__init__.py").is_file():
        return f"{what}; a job's `root` is not trusted: to run the one there, add {OPTION} {root}"
    return f"{what}; to add a folder: {OPTION} ./FOLDER"


def _is_installed(top: str) -> bool:
    """Return whether Python finds a package by itself; nothing is run."""
    finders = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    found = [finder.find_spec(top, None) for finder in finders if hasattr(finder, "find_spec")]
    # A folder without code has no origin: one below the working directory is no package.
    return any(spec is not None and spec.origin is not None for spec in found)


def _refuse_namesakes(name: str, file: Path) -> None:
    """Refuse a module whose name, or whose package's, another module in use has."""
    for part, expected in _way(name, file):
        present = sys.modules.get(part)
        loaded = getattr(present, "__file__", None)
        if present is None or (loaded and Path(loaded).resolve() == expected.resolve()):
            continue
        what = f"{expected} has the name of a module in use, {loaded or present}; rename it"
        raise _refused(what)


def _way(name: str, file: Path) -> list[tuple[str, Path]]:
    """Return the packages around a module and then itself, outermost first, with their files."""
    inner = file.parent if file.name == "__init__.py" else file
    parts = name.split(".")
    lengths = range(1, len(parts))
    folders = [inner.parents[len(parts) - 1 - length] for length in lengths]
    names = [".".join(parts[:length]) for length in lengths]
    return [*zip(names, (folder / "__init__.py" for folder in folders), strict=True), (name, file)]


def _refused(what: str) -> BadInput:
    return BadInput(Problem("source", what))


class _Finder(MetaPathFinder):
    """Lets modules in permitted folders import each other. One at a time is installed.

    What Python has imported is kept by name alone. When other places come, the modules of the
    earlier ones are forgotten: two jobs may each have their own ``nets.py``.
    """

    installed: _Finder | None = None

    def __init__(self, permission: Permission) -> None:
        self.permission, self.folders = permission, _folders(permission)
        self.served: dict[str, Path] = {}

    @classmethod
    def install(cls, permission: Permission) -> None:
        before = cls.installed
        if before is not None:
            if before.folders == _folders(permission):
                return
            sys.meta_path.remove(before)
            for name in list(sys.modules):
                if name.partition(".")[0] in before.served:
                    del sys.modules[name]
        cls.installed = cls(permission)
        sys.meta_path.insert(0, cls.installed)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or name in sys.stdlib_module_names:
            return None
        for file in self.permission.candidates(name):
            if self.permission.holds(file):
                self.served[name] = file
                return importlib.util.spec_from_file_location(name, file)
        return None


def _folders(permission: Permission) -> list[Path]:
    return [place.folder for place in permission.places]
