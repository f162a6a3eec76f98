"""Parts from outside: a person's own file, or an installed package, that registers parts.

A source of parts is known by its text. The plan of a run has it, so that its record shows what was
run and a run is not resumed with another; it comes to other processes with the plan (`__reduce__`),
is run there once, and its classes are found there under the same name. What a record holds is
compared with the file and shown, and never run.

What may be run is what a person named (`gauntlet.pipeline.models.sources.permission`).
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from gauntlet.pipeline.attacks.part import (
    OF_FILES,
    Part,
    catalogue,
    forget,
    is_own,
    place_of,
    register,
)
from gauntlet.pipeline.models.sources.permission import OPTION, PARTS, Permission, is_module_name
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.spec import Spec

GROUP = "gauntlet.parts"
"""Entry points of packages that have parts: ``name = "package.module"``."""
_CELL = "__main__."
"""What the path of a class begins with that is in no file of its own."""
_MARK = "\ufeff"
"""What some editors begin a UTF-8 file with (BOM): part of the text, no part of the program."""
_SHOWN = 20
"""Lines of a difference that a message shows."""


class PartsSource(Spec):
    """A file or module with parts of the person's own, as it was when a run began."""

    path: str
    """A file's path, relative to the job's root where it lies inside; a module's name; or that of a
    class of a notebook, `__main__.NAME`."""
    digest: str
    """SHA-256 of the text."""
    text: str
    """What was run: for people to read, and to be compared."""

    @classmethod
    def read(cls, path: str, root: Path, permission: Permission) -> PartsSource:
        """Return a source as it is now; nothing of it is run.

        Args:
            path: a file, relative to ``root``, or the name of a module.
            root: folder that relative paths start from.
            permission: what may be run.

        Raises:
            BadInput: when it is not there, is no text, or may not be run.
        """
        if path.startswith(_CELL):
            return _source_of(_of_cell(path))
        file = _located(path, root, permission)
        try:
            text = file.read_bytes().decode()
        except OSError as error:
            raise _refused(path, f"cannot be read ({error.strerror or error})") from None
        except UnicodeDecodeError:
            raise _refused(path, "is not UTF-8: expected a Python file") from None
        digest = hashlib.sha256(text.encode()).hexdigest()
        inside = path.endswith(".py") and file.is_relative_to(root)
        named = str(file.relative_to(root)) if inside else str(file)
        return cls(path=named if path.endswith(".py") else path, digest=digest, text=text)

    def load(self) -> tuple[type[Part], ...]:
        """Run the text, unless this process has, and return the parts that it registers.

        Raises:
            BadInput: when it does not run, or registers nothing; says in which line.
        """
        if self.path.startswith(_CELL):
            return (_of_cell(self.path),)
        module = self.module
        if _loaded.get(self.path) == self:
            return _made[module]
        _drop(self.path)
        if module in _made:
            _registered(module, self.path, lambda: [register(part) for part in _made[module]])
        else:
            _made[module] = _registered(module, self.path, self._run)
        _loaded[self.path] = self
        return _made[module]

    @property
    def module(self) -> str:
        """Name of the module that its classes are in: the same in every process."""
        if not self.path.endswith(".py"):
            return self.path
        stem = re.sub(r"[^0-9a-zA-Z]", "_", Path(self.path).stem)
        return f"{OF_FILES}{stem}_{self.digest[:12]}"

    def _run(self) -> None:
        if not self.path.endswith(".py"):
            importlib.import_module(self.path)
            return
        name, file = self.module, self.path
        made = ModuleType(name)
        made.__file__ = file
        # Python reads the source of a class from here: the text that was run, wherever that is.
        linecache.cache[file] = (len(self.text), None, self.text.splitlines(True), file)
        sys.modules[name] = made
        try:
            exec(compile(self.text.removeprefix(_MARK), file, "exec"), made.__dict__)
        except BaseException:
            del sys.modules[name]
            raise

    def difference(self, now: PartsSource) -> str:
        """Return what of the text is another one now, as the lines of a unified diff."""
        before, after = (one.text.splitlines() for one in (self, now))
        lines = [*difflib.unified_diff(before, after, "as recorded", "as it is now", lineterm="")]
        more = [f"... {len(lines) - _SHOWN} lines more"] if len(lines) > _SHOWN else []
        return "\n".join(f"  {line}" for line in [*lines[:_SHOWN], *more])

    def __reduce__(self) -> tuple[Callable[..., PartsSource], tuple[str, str, str]]:
        # The classes of a plan's parts must be there when what follows in it is unpickled.
        return _arrived, (self.path, self.digest, self.text)


_made: dict[str, tuple[type[Part], ...]] = {}
"""The parts of every module that this process has run."""
_loaded: dict[str, PartsSource] = {}
"""The sources whose parts are in the catalogue, by path."""
_of_jobs: set[str] = set()
"""Paths of those that came with a job, and go when another job comes."""


def load_parts(source: str | Path) -> tuple[type[Part], ...]:
    """Register the parts of a file of yours, or of an installed package, and return them.

    A file that was changed is run anew, and its parts take the place of the former ones.

    Args:
        source: ``mine.py``, or the name of a package or module.

    Raises:
        BadInput: when it does not run, registers nothing, or claims what is taken; with its line.
    """
    name = str(source)
    if name.endswith(".py"):
        file = Path(name).expanduser().resolve()
        return PartsSource.read(str(file), Path(), Permission(files=(file,))).load()
    permission = Permission(packages=frozenset([name]))
    modules = offered(permission) or [name]
    return tuple(
        part for each in modules for part in PartsSource.read(each, Path(), permission).load()
    )


def offered(permission: Permission) -> list[str]:
    """Return the modules with parts of the packages that the person named."""
    return [entry.module for entry in entry_points(group=GROUP) if permission.covers(entry.module)]


def only(sources: Iterable[PartsSource]) -> None:
    """Load the sources of a job, and forget those that came with an earlier one.

    Raises:
        BadInput: with what is wrong with any.
    """
    wanted = {source.path for source in sources}
    for path in _of_jobs - wanted:
        _drop(path)
    _of_jobs.intersection_update(wanted)
    problems: list[Problem] = []
    for source in sources:
        if source.path not in _loaded:
            _of_jobs.add(source.path)
        try:
            source.load()
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)


def taken_up(recorded: Iterable[Mapping[str, str]], root: Path, permission: Permission) -> None:
    """Load what a run's parts are from, if it is here as it was when the run began.

    Args:
        recorded: the sources, as the record has them.
        root: folder that relative paths start from.
        permission: what may be run.

    Raises:
        BadInput: when a source is not here, may not be run, or was changed; shows how.
    """
    sources = [PartsSource.model_validate(each) for each in recorded]
    for source in sources:
        if _loaded.get(source.path) == source:
            continue
        now = _now(source, root, permission)
        if now.text != source.text:
            what = "was changed since the run began, which goes on with the text of then only: put "
            what += f"it back, or run the job anew\n{source.difference(now)}"
            raise _refused(source.path, what)
    only(sources)


def used(parts: Iterable[Part]) -> list[PartsSource]:
    """Return the sources of the own parts among some: files, modules, and classes of a cell."""
    found: dict[str, PartsSource] = {}
    for kind in dict.fromkeys(type(part) for part in parts if is_own(type(part))):
        source = _source_of(kind)
        found[source.path] = source
    return [*found.values()]


def from_cells(sources: Iterable[PartsSource]) -> list[str]:
    """Return the classes that are defined in a notebook or script, which other processes lack."""
    names = (source.path for source in sources)
    return [name.removeprefix(_CELL) for name in names if name.startswith(_CELL)]


def origin(part: type[Part]) -> str:
    """Return where an own part is defined, for people; empty for one that comes along."""
    if not is_own(part):
        return ""
    place = place_of(part)
    here = f"{Path().resolve()}/"
    return "a notebook or script" if part.__module__ == "__main__" else place.removeprefix(here)


def place_in(error: BaseException, file: str) -> str:
    """Return the innermost line of a file that an error came through, as ``file:line``."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines.append(error.lineno)
    return f"{file}:{lines[-1]}" if lines else file


def _of_cell(path: str) -> type[Part]:
    """Return a part that is defined in the notebook or script that runs."""
    name = path.removeprefix(_CELL)
    for part in catalogue():
        if part.__module__ == "__main__" and part.__qualname__ == name:
            return part
    what = (
        f"was defined in a notebook or script: define {name} in this one (its text is in the plan)"
    )
    raise _refused(path, what)


def _source_of(kind: type[Part]) -> PartsSource:
    """Return the source that a registered part is from."""
    for source in _loaded.values():
        if source.module == kind.__module__:
            return source
    cell = kind.__module__ == "__main__"
    try:
        text = inspect.getsource(kind if cell else sys.modules[kind.__module__])
    except (OSError, TypeError):
        text = ""  # typed into a Python that keeps none
    path = f"{_CELL}{kind.__qualname__}" if cell else kind.__module__
    return PartsSource(path=path, digest=hashlib.sha256(text.encode()).hexdigest(), text=text)


def _drop(path: str) -> None:
    """Take the parts of a source out of the catalogue, unless another path has the same."""
    source = _loaded.pop(path, None)
    if source and source.module not in (other.module for other in _loaded.values()):
        forget(_made[source.module])


def _now(source: PartsSource, root: Path, permission: Permission) -> PartsSource:
    """Return a source as it is now: what is at its path, or a file of its name that was given.

    Folders may have files of one name: of several that are here, the one with the source's text.
    """
    if not source.path.endswith(".py"):
        return PartsSource.read(source.path, root, permission)
    at = (root / source.path).resolve()
    here = [source.path] if at.is_file() and permission.holds(at) else []
    here += [str(file) for file in permission.files if file.name == at.name and file != at]
    found = [PartsSource.read(path, root, permission) for path in here or [source.path]]
    return next((now for now in found if now.digest == source.digest), found[0])


def _arrived(path: str, digest: str, text: str) -> PartsSource:
    source = PartsSource(path=path, digest=digest, text=text)
    source.load()
    return source


def _located(path: str, root: Path, permission: Permission) -> Path:
    """Return the file of a source that may be run."""
    if path.endswith(".py"):
        file = (root / Path(path).expanduser()).resolve()
        if not file.is_file():
            raise _refused(path, f"no file {file}")
        if not permission.holds(file):
            what = f"{file} is not in {permission}; to run it, add: {PARTS} {file}"
            raise _refused(path, what)
        return file
    if not is_module_name(path):
        raise _refused(path, "expected a Python file, such as mine.py, or a module's name")
    top = path.partition(".")[0]
    if not permission.covers(path):
        raise _refused(path, f"is a module; if you trust this job with it, add: {OPTION} {top}")
    try:
        spec = importlib.util.find_spec(path)
    except ImportError as error:
        raise _refused(path, f"no such module: {error}") from None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise _refused(path, "no such module is installed")
    return Path(spec.origin)


def _registered(module: str, path: str, run: Callable[[], object]) -> tuple[type[Part], ...]:
    try:
        run()
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # SystemExit, too: a file may do anything
        forget(part for part in catalogue() if part.__module__ == module)
        what = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        if isinstance(error, SyntaxError):
            what = f"SyntaxError: {error.msg}"
        if isinstance(error, ModuleNotFoundError):
            what += "; a file of parts stands alone, beside it only installed packages are found"
        raise _refused(place_in(error, path), what) from error
    found = tuple(part for part in catalogue() if part.__module__ == module)
    if not found:
        raise _refused(path, _unregistered(module))
    return found


def _unregistered(module: str) -> str:
    defined = [
        each
        for each in vars(sys.modules[module]).values()
        if isinstance(each, type) and issubclass(each, Part) and each.__module__ == module
    ]
    at = "".join(f" {place_of(each).rpartition(':')[2]} ({each.__name__})" for each in defined[:1])
    where = f"; write it above the class in line{at}" if defined else ""
    return f"registers no part: a part is a class under @register{where}"


def _refused(where: str, what: str) -> BadInput:
    return BadInput(Problem(where, what))
