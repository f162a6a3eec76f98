"""The person's own modules on workers: an `import:` source works there without being installed.

Workers that this machine starts for itself read the modules where they lie. To a cluster, Ray's
runtime environment carries them: the files and packages alone, never the folder with the data.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gauntlet.pipeline.models.sources.permission import NOTHING, Permission, Place, permit

_PARCEL = "gauntlet_own_modules"
"""Name of the folder that travels; Ray puts it into one that is on every worker's path."""

_LEFT_BEHIND = shutil.ignore_patterns("__pycache__", ".git", ".gitignore")
# Ray would leave out what a .gitignore names, which may be a network's weights.


@dataclass(frozen=True)
class OwnModules:
    """What workers may run, and where they find it.

    Attributes:
        given: what the driver may run.
        carried: whether the modules come with the runtime environment; otherwise the driver's
            folders are the worker's, too.
        path: where the driver finds packages, `sys.path`, which a notebook may have added to.
    """

    given: Permission = NOTHING
    carried: bool = False
    path: tuple[str, ...] = ()

    def permission(self) -> Permission:
        """Return what the process that asks may run, which finds there what the driver finds.

        It may run the same for its data from then on.
        """
        permission = self.given
        if self.carried:
            parcels = [Path(entry) / _PARCEL for entry in sys.path]
            places = [Place(path.resolve(), "carried by Ray") for path in parcels if path.is_dir()]
            permission = Permission(tuple(places), self.given.packages)
        else:
            sys.path.extend(entry for entry in self.path if entry not in sys.path)
        permit(permission)
        return permission


NONE = OwnModules()


def of_this_process(given: Permission) -> OwnModules:
    """Return what workers of this machine may run, from where this process has it."""
    there = [entry or os.curdir for entry in sys.path]  # names of import hooks stand there, too
    path = tuple(os.path.abspath(entry) for entry in there if os.path.exists(entry))
    return OwnModules(given, path=path)


@contextmanager
def packed(modules: Sequence[Path]) -> Iterator[dict[str, Any] | None]:
    """Yield the runtime environment that carries modules; it must be sent meanwhile.

    Args:
        modules: files, and folders of packages; None is yielded when there are none.
    """
    if not modules:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as folder:
        parcel = Path(folder) / _PARCEL
        parcel.mkdir()
        for module in modules:
            if module.is_dir():
                shutil.copytree(module, parcel / module.name, ignore=_LEFT_BEHIND)
            else:
                shutil.copy(module, parcel)
        yield {"py_modules": [str(parcel)]}
