"""Discovery: a file in the right folder registers what it defines, and no list names it.

So does a module of an installed package that offers it by an entry point, once a person has named
that package: nothing runs because it happens to be installed.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from functools import cache
from importlib.metadata import entry_points

VARIABLE = "GAUNTLET_ALLOW_IMPORTS"
"""Packages, and folders, whose code the person lets run in every command."""


@cache
def import_all(package: str) -> None:
    """Import every module below a package, so that each registers what it defines."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        importlib.import_module(module.name)


@cache
def import_offered(group: str) -> None:
    """Import what the packages in `VARIABLE` offer as ``gauntlet.models`` or ``gauntlet.data``."""
    named = os.environ.get(VARIABLE, "").split(":")
    for entry in entry_points(group=group):
        if entry.module.partition(".")[0] in named:
            importlib.import_module(entry.module)
