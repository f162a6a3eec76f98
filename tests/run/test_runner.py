"""What a driver holds while it plans and directs a run."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.parts import Parts
from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.order import CleanAnswers, Finished, Log, News, Order
from gauntlet.pipeline.run.runner import Runner
from tests.toys import jobs

EXAMPLES = 60_000


class Idle:
    """Carries orders out at once, without rows, and takes every model for right."""

    lanes = 1

    def __init__(self, storage: RunFolder) -> None:
        self._log = Log()
        self._parts = Parts(storage, 2**20, 0.1, self._log.add)

    def clean(self, order: Order, models: tuple[str, ...]) -> CleanAnswers:
        right = frozenset(order.ids[1:])
        return CleanAnswers(frozenset(), dict.fromkeys(models, right), dict.fromkeys(models, ()))

    def carry(self, order: Order) -> None:
        for unit in order.units.values():
            done = UnitDone(attack="i/ens", rows=len(order.ids), lost=0, seconds=0.5)
            self._log.add(Finished(unit, done))
            self._parts.add(unit, done, {})

    def news(self, life: str, heard: int) -> News:
        self._parts.write_if_due()
        return self._log.since(life, heard)

    def settle(self) -> None:
        self._parts.write()

    def renew(self) -> bool:
        return False


class Watched(LocalEngine):
    """Counts what is allocated once the data are listed."""

    def carriers(self, examples, thresholds, storage, gallery=None):
        tracemalloc.start(1)
        return [Idle(storage)]


def growth(folder: Path, *changes: tuple[str, str]) -> float:
    """Bytes an example by which the driver grows from then on, at most."""
    plan = jobs.plan(folder, *changes)
    images = np.zeros((EXAMPLES, 4, 4, 3), np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(EXAMPLES) % 5)
    try:
        run = RunFolder(str(folder / "run"))
        engine = Watched(plan, permission=granted())
        outcome = Runner(plan, run, engine, Silent()).run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.units_done >= EXAMPLES // 100
    return peak / EXAMPLES


SELECTED = ("data: {", "select: {correct: surrogates}\ndata: {")


@pytest.mark.parametrize("changes", [(), (SELECTED,)], ids=["every example", "selected ones"])
def test_a_driver_grows_by_less_than_100_bytes_an_example(tmp_path: Path, changes) -> None:
    assert growth(tmp_path, ("batch: 4", "batch: 64"), *changes) < 100
