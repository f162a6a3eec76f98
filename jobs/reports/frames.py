"""The figures of a run's report, as frames in the order of its job."""

from __future__ import annotations

import pandas as pd

from gauntlet.pipeline import results
from gauntlet.pipeline.evaluation.leave_one_out import FIGURES, loo_by_group, loo_by_target
from gauntlet.pipeline.evaluation.step_curves import by_step, by_step_and_group
from gauntlet.pipeline.evaluation.success_rates import (
    ATTACK,
    GROUP,
    TARGET,
    by_group,
    by_target,
    present,
)
from gauntlet.pipeline.evaluation.unmoved import unmoved
from gauntlet.pipeline.results.schema import NO_UPDATE

NEEDED = (
    *("example", *ATTACK, "goal", *TARGET, "step", "success", "clean_correct"),
    *("score", "clean_score", "linf", "l2"),
)
"""Columns of the verdicts that a report is made from."""


class Figures:
    """What the verdicts of a run come to.

    Args:
        run: the run's folder.

    Raises:
        ValueError: when there is no run in the folder.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.verdicts = results.read(run, "verdicts", NEEDED, sound=True)
        self._labels = results.manifest(run).labels

    @property
    def empty(self) -> bool:
        """Whether nothing was judged yet."""
        return bool(self.verdicts.empty)

    @property
    def why_empty(self) -> str:
        """A sentence that says why nothing was judged yet."""
        if results.read(self.run, "failures", sound=True).empty:
            return "No verdicts yet: no unit of work has finished."
        return "No verdicts: nothing that was attacked so far could be judged; see the failures."

    @property
    def several_steps(self) -> bool:
        """Whether an attack was judged at several steps."""
        counts = self.verdicts.groupby("attack")["step"].nunique()
        return bool((counts > 1).any())

    def in_order(self) -> pd.DataFrame:
        """Return the verdicts, attacks as the job lists them."""
        return self._sorted(self.verdicts)

    def groups(self) -> pd.DataFrame:
        """Return one row an attack x group, last step and leave-one-out side by side."""
        found = by_group(self.verdicts)
        return self._sorted(_beside(found, loo_by_group(self.verdicts), (*ATTACK, *GROUP)))

    def targets(self) -> pd.DataFrame:
        """Return one row an attack x target, last step and leave-one-out side by side."""
        found = by_target(self.verdicts)
        return self._sorted(_beside(found, loo_by_target(self.verdicts), (*ATTACK, *TARGET)))

    def curves(self, targets: bool = False) -> pd.DataFrame:
        """Return one row an attack x group (or target) x judged step."""
        make = by_step if targets else by_step_and_group
        return self._sorted(make(self.verdicts))

    def unmoved(self) -> pd.DataFrame:
        """Return how many images each attack left as they were, by cause; attacks without updates
        are left out."""
        columns = ("attack", "linf", "unmoved")
        examples = results.read(self.run, "examples", columns, sound=True)
        found = unmoved(examples)
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
        counts = ["targets", "targets_counted"]
        return pd.concat([groups, targets], ignore_index=True).astype(
            dict.fromkeys(counts, "Int64")
        )

    def _sorted(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Sort attacks as the job lists them: the tables have them in the order of their files."""
        position = {label: place for place, label in enumerate(self._labels)}
        key = frame["attack"].map(lambda label: position.get(label, len(position)))
        return frame.iloc[key.argsort(kind="stable")].reset_index(drop=True)


def _beside(table: pd.DataFrame, loo: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """Add the leave-one-out columns; NaN for attacks that were judged once."""
    keys = present(table, by)
    chosen = loo[[*keys, "evaluated_steps", *FIGURES]].astype({"evaluated_steps": "Int64"})
    if chosen.empty:
        return table.assign(**dict.fromkeys(["evaluated_steps", *FIGURES], float("nan"))).astype(
            {"evaluated_steps": "Int64"}
        )
    return table.merge(chosen, how="left", on=keys)
