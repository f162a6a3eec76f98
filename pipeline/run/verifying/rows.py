"""The rows of a table against the units that are done: each that they made, exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.results.record.entries import TableFile
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.verifying.cells import Cells
from gauntlet.pipeline.run.verifying.units import PlannedUnits

EXCUSES = {"verdicts": "evaluate", "interactions": "interactions"}
"""The stage under which `failures` has an example that a target or surrogate has no row of."""
LOST = "attack"
"""The stage under which it has an example that has no row at all."""


class Excuses:
    """What `failures` says of chosen examples: how many rows of a stage, by attack and example."""

    def __init__(self, plan: Plan, units: PlannedUnits) -> None:
        self._attacks = AttackNumbers(plan)
        self._examples = _places(units.ids)
        self._counts: dict[str, Counter[tuple[int, int]]] = {}

    def take(self, rows: pa.RecordBatch) -> None:
        """Take rows of `failures` in."""
        attack = self._attacks.of(rows)
        example = _numbers(rows["example"], self._examples)
        for number, at, stage in zip(attack, example, rows["stage"].to_pylist(), strict=True):
            if number >= 0 and at >= 0:
                self._counts.setdefault(stage, Counter())[int(number), int(at)] += 1

    def of(self, stage: str | None, attack: int) -> np.ndarray:
        """Return the rows of a stage about each example under an attack, int64 (N,)."""
        found = np.zeros(len(self._examples), np.int64)
        for (number, example), count in self._counts.get(stage or "", {}).items():
            if number == attack:
                found[example] = count
        return found


class AttackNumbers:
    """The places of attacks in a plan, by label and seed."""

    def __init__(self, plan: Plan) -> None:
        self._own = plan.seed  # of runs of earlier versions, too, which did not write it
        self._known = _places((attack.label, plan.seed_of(attack)) for attack in plan.attacks)

    def of(self, rows: pa.RecordBatch) -> np.ndarray:
        """Return each row's, int64; -1 where the plan has no such attack."""
        label, seed = (pc.dictionary_encode(rows[name]) for name in ("attack", "seed"))
        labels, seeds = label.dictionary.to_pylist(), seed.dictionary.to_pylist()
        found = np.full((len(labels) + 1, len(seeds) + 1), -1, np.int64)
        for at, name in enumerate(labels):
            for to, one in enumerate([*seeds, self._own]):
                found[at, to] = self._known.get((name, one), -1)
        codes = (
            pc.fill_null(column.indices, size).to_numpy(zero_copy_only=False)
            for column, size in ((label, len(labels)), (seed, len(seeds)))
        )
        return np.asarray(found[tuple(codes)])


class TableRows:
    """Takes the rows of one table in, and knows which should have been there.

    Args:
        table: its name.
        plan: of the run.
        units: that the plan makes.
    """

    def __init__(self, table: str, plan: Plan, units: PlannedUnits) -> None:
        self.table, self._plan, self._units = table, plan, units
        self._attacks = [_called(attack) for attack in plan.attacks]
        self._number = AttackNumbers(plan)
        self._axes = _axes(table, plan)
        self._allowed = np.array([_allowed(table, plan, number, self._axes)
                                  for number in range(len(plan.attacks))])  # fmt: skip
        self._cells = Cells(len(self._attacks), self._allowed[0].size, len(units.ids))
        self._known: dict[str, Mapping[Any, int]] = {
            "example": _places(units.ids),
            "unit": units.number,
            **{name: _places(values) for name, values in self._axes.items()},
        }
        self.rows = 0
        self._strange: dict[str, Counter[str]] = {}

    def take(self, file: TableFile, rows: pa.RecordBatch) -> None:
        """Take rows of a file in."""
        self.rows += rows.num_rows
        numbers = {name: _numbers(rows[name], known) for name, known in self._known.items()}
        numbers["attack"] = self._number.of(rows)
        good = np.ones(rows.num_rows, bool)
        for name in ("example", "attack", *self._axes):
            self._refuse(file, f"whose {name} the plan does not have", numbers[name] < 0, good)
        batch = self._units.batch_of[np.where(good, numbers["example"], 0)]
        own = batch * len(self._attacks) + numbers["attack"]
        self._refuse(file, "whose unit is another's", own != numbers["unit"], good)
        named = _is_in(rows, "unit", file.units) | _is_in(rows, "attack", file.attacks)
        self._refuse(file, "that its commit does not name", ~named, good)
        if self.table == "examples":
            why = "whose image is not stored as the plan says"
            self._refuse(file, why, self._unlike(rows), good)
        place = np.zeros(rows.num_rows, np.int64)
        for name, values in self._axes.items():
            place = place * len(values) + numbers[name]
        twice = self._cells.mark(numbers["attack"][good], place[good], numbers["example"][good])
        if twice:
            self._strange.setdefault(file.name, Counter())["there twice"] += twice

    def _refuse(self, file: TableFile, why: str, bad: np.ndarray, good: np.ndarray) -> None:
        """Count rows that are bad, but for those that were before; they are good no more."""
        if count := int(np.count_nonzero(bad & good)):
            self._strange.setdefault(file.name, Counter())[why] += count
        good &= ~bad

    def _unlike(self, rows: pa.RecordBatch) -> np.ndarray:
        """Return which rows' images have not the size that they say, or are there for no reason."""
        evaluate = self._plan.evaluate
        length = pc.fill_null(pc.binary_length(rows["image"]), -1).to_numpy(zero_copy_only=False)
        if not evaluate.images:
            return np.asarray(length >= 0)
        height, width = (
            pc.fill_null(rows[name], 0).to_numpy(zero_copy_only=False).astype(np.int64)
            for name in ("height", "width")
        )
        kind = "uint8" if evaluate.quantize else "float32"
        size = height * width * 3 * np.dtype(kind).itemsize
        other = pc.fill_null(pc.not_equal(rows["dtype"], kind), True)
        return np.asarray((length != size) | (size == 0) | other.to_numpy(zero_copy_only=False))

    def faults(self, excuses: Excuses, dark: np.ndarray) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the rows that were taken in: the file or table, and what.

        Args:
            excuses: what `failures` says.
            dark: units of which rows could not be read, bool (batches, attacks).
        """
        for name, counts in self._strange.items():
            for why, count in counts.items():
                yield name, f"{_counted(count, 'row')} {why}"
        for attack, label in enumerate(self._attacks):
            for what in self._missing(attack, excuses, dark):
                yield self.table, f"attack {label}: {what}"

    def _missing(self, attack: int, excuses: Excuses, dark: np.ndarray) -> Iterator[str]:
        units, batch_of = self._units, self._units.batch_of
        unseen = dark[batch_of, attack]
        there = units.done[batch_of, attack] & (excuses.of(LOST, attack) == 0)
        for batch, done in units.finished(attack):
            if done.left_out:
                at = slice(units.cut[batch].start, units.cut[batch].stop)
                there[at] &= [example not in done.left_out for example in units.ids[at]]
        met, allowed = self._cells.of(attack), self._allowed[attack].reshape(-1, 1)
        expected = allowed & there
        yield from self._told("rows that no unit made", (met & ~expected & ~unseen).any(0))
        groups = self._allowed.shape[1]
        missing = (expected & ~met & ~unseen).reshape(groups, -1, len(batch_of))
        whole = (missing | ~self._allowed[attack][:, :, None]).all(1) & missing.any(1)
        excused = excuses.of(EXCUSES.get(self.table), attack)
        wrong = (missing.any(1) & ~whole) | (whole & (whole.sum(0) != excused))
        names = next(iter(self._axes.values())) if groups > 1 else ("",)
        for group, name in enumerate(names):
            of = f" of {name!r}" if groups > 1 else ""
            yield from self._told(f"no row{of}", wrong[group])
        denied = ~unseen & there & (whole.sum(0) < excused)
        yield from self._told("rows that `failures` says are not there", denied)
        if self.table == "verdicts":
            yield from self._uncounted(attack, met.sum(0), unseen)

    def _uncounted(self, attack: int, rows: np.ndarray, unseen: np.ndarray) -> Iterator[str]:
        units = self._units
        for batch, done in units.finished(attack):
            found = int(rows[units.cut[batch]].sum())
            if found != done.rows and not unseen[units.cut[batch].start]:
                first = units.ids[units.cut[batch].start]
                yield f"its unit from {first!r} has {found:,} rows, its commit says {done.rows:,}"

    def _told(self, what: str, of: np.ndarray) -> Iterator[str]:
        found = np.flatnonzero(of)
        if len(found):
            shown = ", ".join(self._units.ids[at] for at in found[:3])
            yield f"{what}: {_counted(len(found), 'example')} ({shown})"


def _axes(table: str, plan: Plan) -> dict[str, Sequence[Hashable]]:
    """Return what tells the rows of an attack on an example apart, with all values."""
    steps = {step for number in range(len(plan.attacks)) for step in _steps(table, plan, number)}
    match table:
        case "verdicts":
            return {"target": [spec.name for spec in plan.targets], "step": sorted(steps)}
        case "traces":
            return {"step": sorted(steps)}
        case "interactions":
            return {"surrogate": [spec.name for spec in plan.surrogates]}
    return {}


def _steps(table: str, plan: Plan, attack: int) -> Sequence[int]:
    """Return the steps at which an attack has rows."""
    last = plan.attacks[attack].steps
    if table == "traces":
        return range(1, last + 1)
    return (*plan.evaluate.before_last(last), last)


def _allowed(
    table: str, plan: Plan, attack: int, axes: Mapping[str, Sequence[Hashable]]
) -> np.ndarray:
    """Return which places of an attack may have a row, bool (targets or surrogates, steps)."""
    evaluate = plan.evaluate
    match table:
        case "verdicts":
            judged = np.isin(np.array(axes["step"], np.int64), _steps(table, plan, attack))
            return np.repeat(judged[None], len(axes["target"]), 0)
        case "traces":
            kept = np.isin(np.array(axes["step"], np.int64), [*_steps(table, plan, attack)])
            return (kept & evaluate.traces)[None]
        case "interactions":
            own = plan.surrogates_of(plan.attacks[attack])
            asked = evaluate.interactions is not None
            return np.array([[asked and name in own] for name in axes["surrogate"]])
    return np.ones((1, 1), bool)


def _called(attack: Attack) -> str:
    """Return how an attack is called in messages."""
    return repr(attack.label) + ("" if attack.seed is None else f" under seed {attack.seed}")


def _places(values: Iterable[Hashable]) -> dict[Hashable, int]:
    return {value: place for place, value in enumerate(values)}


def _numbers(column: pa.Array, known: Mapping[Any, int]) -> np.ndarray:
    """Return the number of each value, int64; -1 where it is none of the known ones."""
    encoded = pc.dictionary_encode(column)
    found = [known.get(value, -1) for value in encoded.dictionary.to_pylist()]
    codes = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
    return np.asarray(np.array([*found, -1], np.int64)[codes])


def _is_in(rows: pa.RecordBatch, column: str, values: Sequence[str]) -> np.ndarray:
    wanted = pa.array(values, pa.string())
    return np.asarray(pc.is_in(rows[column], wanted).to_numpy(zero_copy_only=False))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
