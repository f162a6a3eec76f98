"""Random streams for the inside of a network: one per row of the input that it is working on.

A rewritten network (see `Surgery`) may draw random numbers in the middle of its forward pass.
`Model.forward` sets the streams, the network reads them; each thread has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gauntlet.pipeline.draws import Draws

_streams: ContextVar[Draws | None] = ContextVar("streams", default=None)


@contextmanager
def streaming(draws: Draws | None) -> Iterator[None]:
    """Make ``draws`` the current streams."""
    token = _streams.set(draws)
    try:
        yield
    finally:
        _streams.reset(token)


def current() -> Draws:
    """Return one stream per row of the running network's input.

    Raises:
        RuntimeError: when the model was called without draws.
    """
    draws = _streams.get()
    if draws is None:
        raise RuntimeError("this network is randomised: call its model with draws")
    return draws
