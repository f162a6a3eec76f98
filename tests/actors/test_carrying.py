from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import ray

from gauntlet.actors import carrying, waiting
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.run.order import Order


@pytest.fixture
def without_room() -> Iterator[Any]:
    """An actor for which no node has room."""
    connect(None)

    class Carrying:
        def news(self, life: str, heard: int) -> None: ...

        def clean(self, setup: object, order: Order, names: tuple[str, ...]) -> None: ...

    yield ray.remote(num_cpus=10_000)(Carrying).remote()
    disconnect()


def test_a_carrier_that_cannot_start_is_not_waited_for_without_end(
    without_room: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "WAIT", 0.02)
    monkeypatch.setattr(waiting, "EVERY", 0.1)
    told: list[str] = []
    carrier = carrying.RemoteCarrier(without_room, None, 1, told.append)
    with pytest.raises(ray.exceptions.GetTimeoutError, match="no node has room for it"):
        carrier.clean(Order((0,), ("set/0",), {}), ("s0",))
    assert told
    assert all(f"1 of 1: {waiting.NO_ROOM}" in line for line in told)
    with pytest.raises(ray.exceptions.GetTimeoutError, match="no node has room for it"):
        carrier.news("", 0)
