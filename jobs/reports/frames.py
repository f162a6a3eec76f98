"""The figures of a run's report, as frames in the order of its job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import pandas as pd
import pyarrow.compute as pc

from gauntlet.jobs.reports.failures import FailureCounts
from gauntlet.pipeline.evaluation.comparison import COMPARED
from gauntlet.pipeline.evaluation.leave_one_out import FIGURES, loo_grouped, loo_rates
from gauntlet.pipeline.evaluation.outcomes import Outcomes
from gauntlet.pipeline.evaluation.over_seeds import spreads
from gauntlet.pipeline.evaluation.step_curves import groups_in_steps, in_steps
from gauntlet.pipeline.evaluation.success_rates import (
    ATTACK,
    GROUP,
    TARGET,
    beside,
    counted,
    grouped,
    present,
    rates,
)
from gauntlet.pipeline.evaluation.unmoved import unmoved
from gauntlet.pipeline.evaluation.verdict_pieces import VerdictPieces
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.results.schema import NO_UPDATE, THRESHOLDS

NEEDED = (
    *("example", *ATTACK, "seed", "goal", *TARGET, "step", "success", "clean_correct"),
    *("score", "clean_score", "linf", "l2"),
)
"""Columns of the verdicts that a report is made from."""


class Figures:
    """What the verdicts of a run come to; made a piece of the table at a time.

    Args:
        reading: the run.
        compared: the figure by which attacks are compared example by example: ``success``,
            ``score`` or ``transfer_utility``.
        rule: a further rule of its thresholds, at which success is counted; the headline's by
            default.
    """

    def __init__(
        self, reading: Reading, compared: str = "success", rule: str | None = None
    ) -> None:
        self.reading, self.run = reading, reading.location
        self.verdicts, self._rule = VerdictPieces(reading, rule), rule
        self._compared = compared

    @property
    def empty(self) -> bool:
        """Whether nothing was judged yet."""
        return not self.verdicts.counts

    @property
    def why_empty(self) -> str:
        """A sentence that says why nothing was judged yet."""
        if not self.failures.count:
            return "No verdicts yet: no unit of work has finished."
        return "No verdicts: nothing that was attacked so far could be judged; see the failures."

    @cached_property
    def further(self) -> dict[str, Figures]:
        """The figures at the thresholds of each further rule, by its name."""
        others = [] if self._rule else self.reading.folder.further_rules
        return {rule: Figures(self.reading, self._compared, rule) for rule in others}

    def by_rule(self, targets: bool = False) -> dict[str, pd.DataFrame]:
        """Return one row an attack x group (or target) by each rule, the headline first; nothing of
        a run that has one rule."""
        if not self.further:
            return {}
        every = {self.headline: self, **self.further}
        return {rule: one.targets() if targets else one.groups() for rule, one in every.items()}

    @cached_property
    def headline(self) -> str:
        """Name of the rule of the targets' thresholds; of several, all of them."""
        rules = self.thresholds().query("headline")["threshold_rule"]
        return ", ".join(dict.fromkeys(rules)) or "headline"

    def thresholds(self) -> pd.DataFrame:
        """Return the table of thresholds, the targets and rules as the job lists them."""
        table = self.reading.rows("thresholds", THRESHOLDS.names)
        models = [key.removeprefix("target/") for key in self.reading.manifest.models]
        targets, rules = (
            {name: place for place, name in enumerate(names)} for names in (models, self.further)
        )
        keys = pd.DataFrame(
            {
                "target": table["target"].map(targets),
                "rule": table["threshold_rule"].map(rules).fillna(-1),
            }
        )
        return table.loc[keys.sort_values(["target", "rule"]).index].reset_index(drop=True)

    @property
    def attacks(self) -> list[str]:
        """The attacks that were judged, as the job lists them."""
        return sorted(self.verdicts.attacks, key=self._place)

    @property
    def order_of_targets(self) -> list[str]:
        """The targets as the job lists them."""
        models = (name.partition("/") for name in self.reading.manifest.models)
        return [name for role, _, name in models if role == "target"]

    @cached_property
    def failures(self) -> FailureCounts:
        """What went wrong."""
        return FailureCounts.of(self.reading)

    def groups(self) -> pd.DataFrame:
        """Return one row an attack x group, last step and leave-one-out side by side."""
        found = beside(grouped(self._last, (*ATTACK, *GROUP)), self._spreads(GROUP))
        return self._sorted(_beside(found, loo_grouped(self._figures.loo), (*ATTACK, *GROUP)))

    def targets(self) -> pd.DataFrame:
        """Return one row an attack x target, last step and leave-one-out side by side."""
        found = beside(self._last, self._spreads(("target",)))
        return self._sorted(_beside(found, self._figures.loo, (*ATTACK, *TARGET)))

    def curves(self, targets: bool = False) -> pd.DataFrame:
        """Return one row an attack x group (or target) x judged step."""
        curves = in_steps(self._figures.rates)
        return self._sorted(curves if targets else groups_in_steps(curves))

    @property
    def outcomes(self) -> Outcomes:
        """What came of every example after each attack's last step."""
        return self._figures.outcomes

    def unmoved(self) -> pd.DataFrame:
        """Return how many images each attack left as they were, by cause; attacks without updates
        are left out."""
        sizes, still = Counter[str](), list[tuple[str, str | None]]()
        for images, some in self.reading.by_file("examples", self._images_of):
            sizes += images
            still += some
        found = unmoved(sizes, still)
        return self._sorted(found[found["cause"] != NO_UPDATE])

    def whole(self, steps: bool = False) -> pd.DataFrame:
        """Return the figures of groups and targets in one frame; `level` tells them apart.

        Args:
            steps: the figures of every judged step, instead of the last one's and leave-one-out
                and the number of images that the attack left as they were.
        """
        if steps:
            groups, targets = self.curves(), self.curves(targets=True)
        else:
            same = self.unmoved().groupby("attack")["count"].sum()
            groups, targets = (
                table.assign(unmoved=table["attack"].map(same).fillna(0).astype(int))
                for table in (self.groups(), self.targets())
            )
        groups.insert(0, "level", "group")
        targets.insert(0, "level", "target")
        tables = [pd.concat([groups, targets], ignore_index=True)]
        tables += [further.whole(steps) for further in self.further.values()]
        if self.further:
            for rule, table in zip([self.headline, *self.further], tables, strict=True):
                table.insert(1, "threshold_rule", rule)
        counts = ["targets", "targets_counted"]
        return pd.concat(tables, ignore_index=True).astype(dict.fromkeys(counts, "Int64"))

    def _images_of(self, file: str) -> tuple[Counter[str], list[tuple[str, str | None]]]:
        """Return the images of each attack in a file, and attack and cause of those that stayed."""
        folder, still = self.reading.folder, list[tuple[str, str | None]]()
        names = ("attack", "unmoved")
        for batch in folder.batches(file, "examples", names, pc.field("linf") == 0):
            still += zip(*(column.to_pylist() for column in batch.columns), strict=True)
        return folder.counts(file, "attack"), still

    @cached_property
    def _figures(self) -> _Figures:
        made, outcomes = [], Outcomes(self._compared)
        for piece in map(counted, self.verdicts.pieces(NEEDED)):
            made.append((rates(piece, (*ATTACK, *TARGET, "step")), loo_rates(piece)))
            outcomes.add(piece[self._is_last(piece)])
        every, loo = (self.verdicts.in_order(_joined(tables)) for tables in zip(*made, strict=True))
        return _Figures(every, loo, outcomes)

    @cached_property
    def _last(self) -> pd.DataFrame:
        """The rates of targets at each attack's last step."""
        every = self._figures.rates
        return every[self._is_last(every)].drop(columns="step").reset_index(drop=True)

    def _is_last(self, frame: pd.DataFrame) -> pd.Series[bool]:
        return frame["step"] == frame["attack"].map(self.verdicts.last)

    def _spreads(self, by: tuple[str, ...]) -> pd.DataFrame:
        """Return how far the figures of attacks under several seeds vary, one attack at a time."""
        labels = Counter(attack.attack for attack in self.reading.manifest.attacks)
        found = [
            spreads(self.verdicts.at_last_step(label, COMPARED), by)
            for label in self.verdicts.attacks
            if labels[label] > 1
        ]
        return _joined(found) if found else pd.DataFrame()

    @cached_property
    def _labels(self) -> dict[str, int]:
        return {label: place for place, label in enumerate(self.reading.manifest.labels)}

    def _place(self, label: str) -> int:
        return self._labels.get(label, len(self._labels))

    def _sorted(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Sort attacks as the job lists them: the tables have them in the order of their files."""
        key = frame["attack"].map(self._place)
        return frame.iloc[key.argsort(kind="stable")].reset_index(drop=True)


class _Figures(NamedTuple):
    """Figures of each attack on each target, in the order of their first rows.

    Attributes:
        rates: at every judged step.
        loo: leave-one-out, of attacks that were judged at several.
        outcomes: of every example, at the last one.
    """

    rates: pd.DataFrame
    loo: pd.DataFrame
    outcomes: Outcomes


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    # Columns of a table without rows have no types that others should take on.
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def _beside(table: pd.DataFrame, loo: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """Add the leave-one-out columns; NaN for attacks that were judged once."""
    keys = present(table, by)
    chosen = loo[[*keys, "evaluated_steps", *FIGURES]].astype({"evaluated_steps": "Int64"})
    if chosen.empty:
        return table.assign(**dict.fromkeys(["evaluated_steps", *FIGURES], float("nan"))).astype(
            {"evaluated_steps": "Int64"}
        )
    return table.merge(chosen, how="left", on=keys)
