"""Processes that live, and answer late or wrongly."""

from __future__ import annotations

from tests.faults.case import Case
from tests.faults.fault import fault


@fault("packed", "pinned", ends={0})
def slow(case: Case) -> None:
    """A process takes a second for each pass."""
    case.infect("slow", "one")
    case.begin()


@fault("packed", "pinned", ends={0})
def sick(case: Case) -> None:
    """A process raises in every pass."""
    case.infect("raises", "one")
    case.begin()


@fault("packed", "pinned", ends={3})
def all_sick(case: Case) -> None:
    """Every process raises in every pass."""
    case.infect("raises", "all")
    case.begin()


@fault("packed", "pinned", ends={0}, named=True)
def not_finite(case: Case) -> None:
    """A process answers NaN for every third row."""
    case.infect("nan", "one")
    case.begin()
