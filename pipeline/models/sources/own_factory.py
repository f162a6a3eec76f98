"""Factories in the person's own modules: functions and classes that a job names and a run calls.

What is called is defined in the person's code itself: what a module has imported from elsewhere is
not the person's to run by a job.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MethodType, ModuleType

from gauntlet.pipeline.models.sources.own_modules import find_module, run_module
from gauntlet.pipeline.models.sources.permission import OPTION, Permission
from gauntlet.pipeline.problems import BadInput, Problem

_DEEPEST = 32
"""Decorators around one factory, and so on; some objects wrap themselves."""


@dataclass(frozen=True)
class OwnFactory:
    """What a job names by ``package.module:factory``; its module has been run.

    Attributes:
        name: of the factory in its module.
        function: what is called.
        where: the module's file, or the name of a package's module.
    """

    name: str
    function: Callable[..., object]
    where: str

    def definition(self, permission: Permission) -> object:
        """Return the function or class that is called in the end.

        Raises:
            BadInput: when it comes from somewhere else: ``from os import system``.
        """
        defined = _definition(self.function)
        module = str(getattr(defined, "__module__", None))
        file = _file_of(defined, module)
        if permission.covers(module) or (file and permission.holds(file)):
            return defined
        raise _problem(
            f"{self.name!r} in {self.where} is defined in {file or module}, which is not yours: "
            "write a function there that calls it, or add "
            f"{OPTION} {module.partition('.')[0]}"
        )


def find_factory(text: str, permission: Permission, root: Path) -> OwnFactory:
    """Return what a text such as ``package.module:factory`` names, after running its module.

    Raises:
        BadInput: when there is no such module or it may not be run, or nothing in it that can be
            called has that name.
    """
    name, _, attribute = text.partition(":")
    if not name or not attribute:
        raise _problem(f"expected import:package.module:factory, got 'import:{text}'")
    file = find_module(name, permission, root)
    module = run_module(name, file, permission)
    where = str(file or name)
    found = _attribute(module, attribute)
    if not callable(found):
        known = [n for n, v in vars(module).items() if _public(n, v, name)]
        hint = f"; it defines {', '.join(known[:10])}" if known else ""
        raise _problem(f"{where} has no callable {attribute!r}{hint}")
    return OwnFactory(attribute, found, where)


def _attribute(module: ModuleType, name: str) -> object | None:
    """Return what a module calls by a name, or a class of it by a name after a dot."""
    found: object = module
    for part in name.split("."):
        if found is not module and not isinstance(found, type):
            return None
        found = getattr(found, part, None)
    return found


def _definition(factory: object) -> object:
    """Return the function or class that is called in the end, without what is wrapped around it."""
    for _ in range(_DEEPEST):
        if isinstance(factory, functools.partial):
            factory = factory.func
        elif isinstance(factory, MethodType):
            factory = factory.__func__
        elif hasattr(factory, "__wrapped__"):
            factory = factory.__wrapped__
        elif isinstance(factory, type) or hasattr(factory, "__code__"):
            return factory
        elif hasattr(type(factory).__call__, "__code__"):
            factory = type(factory).__call__
        else:
            break  # written in C
    return factory


def _file_of(defined: object, module: str) -> Path | None:
    """Return the file that a function or class is written in.

    Python's own frozen modules and code made of text have none: ``<frozen os>`` is no file of the
    working directory.
    """
    code = getattr(defined, "__code__", None)
    file = code.co_filename if code else None
    if isinstance(defined, type):
        file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file and os.path.isabs(file) else None


def _public(name: str, value: object, module: str) -> bool:
    made_here = (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module
    return made_here and not name.startswith("_")


def _problem(what: str) -> BadInput:
    return BadInput(Problem("source", what))
