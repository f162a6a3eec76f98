"""What can happen to a run: each fault is a function that tells it, found in `kinds`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.faults import kinds

if TYPE_CHECKING:
    from tests.faults.case import Case


@dataclass(frozen=True)
class Fault:
    """Something that happens to a run.

    Attributes:
        tells: begins the run, harms it, and sees it end.
        placements: where the work may be done; a case draws one.
        ends: exit statuses that the disturbed command may have.
        missing: returns why it cannot happen on this machine, if that is so.
        resources: of the job that differ from the usual ones.
        attacks: of the job, if not the usual ones.
        pixels: in a row of the job's images.
        named: whether examples may be lost that `failures` names.
    """

    tells: Callable[[Case], None]
    placements: tuple[str, ...]
    ends: frozenset[int]
    missing: Callable[[], str] = lambda: ""
    resources: dict[str, Any] = field(default_factory=dict)
    attacks: Sequence[dict[str, Any]] = ()
    pixels: int = 8
    named: bool = False

    @property
    def name(self) -> str:
        """What it is called."""
        return self.tells.__name__

    @property
    def does(self) -> str:
        """What happens, in words."""
        return (self.tells.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def kind(self) -> str:
        """The file that it is in."""
        return self.tells.__module__.rpartition(".")[2]


_FOUND: dict[str, Fault] = {}


def fault(
    *placements: str, ends: set[int], **more: Any
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """Say of a function that it tells a fault; see `Fault`."""

    def found(tells: Callable[[Case], None]) -> Callable[[Case], None]:
        made = Fault(tells, placements, frozenset(ends), **more)
        _FOUND[made.name] = made
        return tells

    return found


def faults() -> dict[str, Fault]:
    """Return all faults by name, kind by kind."""
    for module in sorted(module.name for module in pkgutil.iter_modules(kinds.__path__)):
        importlib.import_module(f"{kinds.__name__}.{module}")
    return dict(_FOUND)
