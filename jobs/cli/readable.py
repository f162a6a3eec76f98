"""What a command reads of a run before it does anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gauntlet.pipeline.problems import BadInput, Problem


@contextmanager
def reading(location: str) -> Iterator[None]:
    """Say what keeps a run's files from being read: a device in a file's place, a lost store.

    Raises:
        BadInput: with the cause.
    """
    try:
        yield
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise BadInput(Problem(location, what)) from None
