"""A carrier: units of work from the ids of examples to rows in parts of tables."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import torch

from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.results.parts import Parts
from gauntlet.pipeline.results.patience import Patience
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.run.engine import Attackable
from gauntlet.pipeline.run.evaluator import Evaluator
from gauntlet.pipeline.run.order import (
    CleanAnswers,
    Failed,
    Finished,
    Log,
    News,
    Order,
    Stalled,
    Unreadable,
)
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.unit import BatchWork, Unit, UnitRows

SHORT = (MemoryError, torch.OutOfMemoryError)
"""Errors by which memory is short."""
PASSING = (OSError, *SHORT)
"""Errors of the machine, not of the unit: another time, or elsewhere, it may not fail."""


class Carrier:
    """Decodes batches, judges them clean, attacks, judges, and buffers rows until a part is due.

    The same in every placement: in the driver, in a packed worker, in a hub. They differ in how the
    models are reached. As many batches of pixels are held at a time as there are lanes; each attack
    has at most `gauntlet.pipeline.run.steps.IN_FLIGHT` iterates more that wait for the targets.

    Args:
        plan: the run's plan.
        models: the surrogates and targets.
        examples: all that the data source gives.
        thresholds: of verification models.
        storage: takes the parts; None where the run's folder is out of reach, and they go to the
            driver with the news.
        lanes: orders that are carried out at a time, each by a thread of the caller's.
        losses: errors by which a call to a model ends whose process was lost.
        log: takes the news; by default one of its own.
        gallery: what decides on success in place of thresholds, if there is one.
    """

    def __init__(
        self,
        plan: Plan,
        models: Attackable,
        examples: Examples,
        thresholds: Mapping[str, ThresholdRecord],
        storage: Storage | None,
        lanes: int = 1,
        losses: tuple[type[Exception], ...] = (),
        log: Log | None = None,
        gallery: Gallery | None = None,
    ) -> None:
        self._plan, self._examples = plan, examples
        self._evaluator = Evaluator(plan, models, thresholds, gallery)
        self._rows = UnitRows(plan, models, self._evaluator)
        self._losses = losses
        self._passing: tuple[type[Exception], ...] = (*PASSING, *losses)
        self.lanes = lanes
        self._log = Log() if log is None else log
        resources = plan.resources
        most = int(resources.part_megabytes * 2**20)
        patience = Patience(
            resources.storage_patience_s,
            "" if storage is None else storage.location,
            lambda cause: self._log.add(Stalled(cause)),
        )
        self._parts = Parts(storage, most, resources.part_seconds, self._log.add, patience.insist)
        self._batches: OrderedDict[tuple[str, ...], BatchWork] = OrderedDict()
        self._lock = threading.Lock()

    def carry(self, order: Order) -> None:
        """Carry an order out; what comes of it is in the news.

        Raises:
            StorageFailed: when a part that was due cannot be written, for as long as is tried.
        """
        for number, unit in order.units.items():
            attack = self._plan.attacks[number]
            try:
                work = self._work(order)
                rows = self._rows_per_pass(order)
                tables, done = self._rows.of(Unit(unit, attack, work, number == 0, rows))
            except Exception as error:
                cause = getattr(error, "cause", error)  # as it was in another process
                reason = f"{type(cause).__name__}: {cause}"
                passing = isinstance(error, self._passing)
                short = isinstance(error, (*SHORT, *self._losses))
                self._log.add(Failed(unit, attack.label, reason, passing, short))
                continue
            self._log.add(Finished(unit, done))
            self._parts.add(unit, done, tables)

    def clean(self, order: Order, models: tuple[str, ...]) -> CleanAnswers:
        """Return what some models say of an order's clean images."""
        work = BatchWork(self._examples, self._evaluator, order)
        correct: dict[str, frozenset[str] | None] = {name: frozenset() for name in models}
        unsound: dict[str, tuple[str, ...]] = dict.fromkeys(models, ())
        if work.batch is not None:
            ids = work.batch.ids
            found = self._evaluator.clean(work.batch, models)
            for name in models:
                right, bad = found.correct[name], found.unsound(name)
                if right is None:
                    correct[name] = None
                else:
                    correct[name] = frozenset(ids[row] for row in np.flatnonzero(right))
                unsound[name] = tuple(ids[row] for row in bad)
        return CleanAnswers(frozenset(work.left_out), correct, unsound)

    def news(self, life: str, heard: int) -> News:
        """Return what happened after so many items of a life were heard; write what is due.

        What cannot be written waits: `carry` or `settle` say why.
        """
        with suppress(OSError):
            self._parts.write_if_due()
        return self._log.since(life, heard)

    def settle(self) -> None:
        """Write all rows that wait.

        Raises:
            OSError: when they cannot be written.
        """
        self._parts.write()

    def _rows_per_pass(self, order: Order) -> int | None:
        """Return the rows a pass of an order for which those of the plan were too many."""
        if not order.halvings:
            return None
        whole = min(self._plan.resources.rows_per_pass, len(order.ids))
        return max(1, whole >> order.halvings)

    def renew(self) -> bool:
        """Return that this process cannot be replaced."""
        return False

    def _work(self, order: Order) -> BatchWork:
        """Return the decoded batch, of which the last are kept: orders may share one."""
        with self._lock:
            work = self._batches.get(order.ids)
        if work is None:
            work = BatchWork(self._examples, self._evaluator, order)
            if work.left_out:
                self._log.add(Unreadable(work.left_out))
        with self._lock:
            self._batches[order.ids] = work
            while len(self._batches) > self.lanes:
                self._batches.popitem(last=False)
        return work
