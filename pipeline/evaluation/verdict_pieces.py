"""A run's verdicts in pieces: all rows of an attack on a target are in one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, reduce
from operator import or_

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gauntlet.pipeline.results.reading import Reading, one_of
from gauntlet.pipeline.results.schema import BY_RULE, by_rule

ROWS = 2**17
"""Rows of a piece, unless one attack on one target has more."""

Judged = tuple[str, str, int]
"""Attack, target, step."""


class VerdictPieces:
    """What was judged, and its rows a piece at a time.

    Every figure of a run is of one attack on one target, or made from such figures: pieces that
    have all of their rows, in the order in which the table has them, give the figures of the whole
    table to the last bit, in memory that does not grow with the number of attacks and targets.

    Args:
        reading: the run.
        rule: a further rule of its thresholds, whose columns then stand in place of the headline's.
    """

    def __init__(self, reading: Reading, rule: str | None = None) -> None:
        self._reading, self._rule = reading, rule

    @cached_property
    def counts(self) -> dict[Judged, int]:
        """Rows by attack, target and step, in the order of their first rows."""
        found: dict[Judged, int] = {}
        names = ["attack", "target", "step"]
        for batch in self._reading.batches("verdicts", names):
            table = pa.table(batch).append_column("row", pa.array(np.arange(batch.num_rows)))
            groups = table.group_by(names).aggregate([("row", "min"), ("row", "count")])
            for group in groups.sort_by("row_min").to_pylist():
                key = group["attack"], group["target"], group["step"]
                found[key] = found.get(key, 0) + group["row_count"]
        return found

    @property
    def attacks(self) -> list[str]:
        """Labels of the attacks that were judged, in the order of their first rows."""
        return [*dict.fromkeys(attack for attack, _, _ in self.counts)]

    @property
    def last(self) -> dict[str, int]:
        """The last judged step of each attack."""
        found: dict[str, int] = {}
        for attack, _, step in self.counts:
            found[attack] = max(step, found.get(attack, step))
        return found

    @property
    def several_steps(self) -> bool:
        """Whether an attack was judged at several steps."""
        return len({(attack, step) for attack, _, step in self.counts}) > len(self.attacks)

    def in_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """Sort figures of attacks on targets, at steps where they have any, by their first rows."""
        place: dict[tuple[str, ...] | Judged, int] = {}
        for number, judged in enumerate(self.counts):
            place[judged] = number
            place.setdefault(judged[:2], number)
        names = ["attack", "target", *(["step"] if "step" in table else [])]
        keys = zip(*(table[name] for name in names), strict=True)
        order = pd.Series([place[key] for key in keys], dtype="int64").argsort(kind="stable")
        return table.iloc[order].reset_index(drop=True)

    def pieces(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield the verdicts; one piece without a row where there are none."""
        if not self.counts:
            yield self._rows(columns)
        targets: dict[str, set[str]] = {}
        rows = 0
        for (attack, target), more in self._blocks():
            if rows and rows + more > ROWS:
                yield self._rows(columns, self._of(targets))
                targets, rows = {}, 0
            targets.setdefault(attack, set()).add(target)
            rows += more
        if targets:
            yield self._rows(columns, self._of(targets))

    def at_last_step(self, attack: str, columns: Sequence[str]) -> pd.DataFrame:
        """Return an attack's verdicts on its last judged step."""
        condition = (pc.field("attack") == attack) & (pc.field("step") == self.last[attack])
        return self._rows(columns, condition)

    def _rows(self, columns: Sequence[str], where: pc.Expression | None = None) -> pd.DataFrame:
        """Return verdicts, by the names of the headline's columns whatever the rule."""
        own = {name: by_rule(name, self._rule) for name in BY_RULE} if self._rule else {}
        rows = self._reading.rows("verdicts", [own.get(name, name) for name in columns], where)
        return rows.rename(columns={name: headline for headline, name in own.items()})

    def _blocks(self) -> list[tuple[tuple[str, str], int]]:
        """Return the rows of each attack on each target, in the order that files are sorted by."""
        found: dict[tuple[str, str], int] = {}
        for (attack, target, _), rows in self.counts.items():
            found[attack, target] = found.get((attack, target), 0) + rows
        return sorted(found.items())

    def _of(self, targets: dict[str, set[str]]) -> pc.Expression:
        """Return the condition that a row is of these targets of each attack."""
        every: dict[str, set[str]] = {}
        for attack, target, _ in self.counts:
            every.setdefault(attack, set()).add(target)
        whole = [attack for attack, some in targets.items() if some == every[attack]]
        parts = [one_of("attack", whole)] if whole else []
        for attack in targets.keys() - {*whole}:
            parts.append((pc.field("attack") == attack) & one_of("target", [*targets[attack]]))
        return reduce(or_, parts)
