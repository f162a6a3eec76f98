"""The units of work that a plan makes of the chosen examples, beside those that a record has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.run.batches import batches
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.unit import UnitIds


class PlannedUnits:
    """Units by batch and attack: unit number = batch x attacks + attack.

    Args:
        plan: as the record has it.
        record: of the run.
        ids: the chosen examples, N of them.

    Attributes:
        ids: the same.
        cut: the examples' places of each batch.
        batch_of: the batch of each example, int64 (N,).
        number: of each unit, by its id.
        done: which units are, bool (batches, attacks).
    """

    def __init__(self, plan: Plan, record: Record, ids: Sequence[str]) -> None:
        names = UnitIds(plan)
        self.ids, self._record = ids, record
        self.cut = [*batches(len(ids), plan.resources.batch, record.kept)]
        self._labels = [attack.label for attack in plan.attacks]
        self._units = [unit for at in self.cut for unit in names.of(ids[at.start : at.stop])]
        self.number = {unit: number for number, unit in enumerate(self._units)}
        self.batch_of = np.repeat(np.arange(len(self.cut)), [len(rows) for rows in self.cut])
        done = np.array([unit in record.units for unit in self._units], bool)
        self.done = done.reshape(len(self.cut), len(self._labels))

    def __len__(self) -> int:
        return self.done.size

    def finished(self, attack: int) -> Iterator[tuple[int, UnitDone]]:
        """Yield the batches on which an attack is done, with what that came to."""
        for batch, unit in enumerate(self._units[attack :: len(self._labels)]):
            if unit in self._record.units:
                yield batch, self._record.units[unit]

    def place(self, unit: str) -> tuple[range, int]:
        """Return the places of a unit's examples, and the number of its attack."""
        batch, attack = divmod(self.number[unit], len(self._labels))
        return self.cut[batch], attack

    def faults(self) -> Iterator[str]:
        """Yield what of the record's units the plan would not have made."""
        strangers = [unit for unit in self._record.units if unit not in self.number]
        if strangers:
            yield f"{len(strangers):,} that the plan does not make ({', '.join(strangers[:3])})"
        wrong = [
            unit
            for unit, done in self._record.units.items()
            if unit in self.number and self._labels[self.place(unit)[1]] != done.attack
        ]
        if wrong:
            yield f"{len(wrong):,} under another attack's label ({', '.join(wrong[:3])})"
