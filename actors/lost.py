"""What is done when the Ray session that a run works in is lost, whose ever it is.

Ray ends this process a while after that, from within C++, with status 1 and its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_acts: list[Callable[[str], object]] = []


@contextmanager
def when_lost(act: Callable[[str], object]) -> Iterator[None]:
    """Have something done, in another thread, when the session is lost in this context.

    Args:
        act: given what happened, in words.
    """
    _acts.append(act)
    try:
        yield
    finally:
        _acts.remove(act)


def tell_lost(cause: str) -> None:
    """Do what is to be done, the last first."""
    for act in reversed(_acts):
        act(cause)
