"""The thresholds table: one row a target x rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gauntlet.pipeline.evaluation.error_rates import interval
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.results.schema import THRESHOLDS


def threshold_columns(
    targets: Sequence[str], found: Mapping[str, ThresholdRecord]
) -> dict[str, list[Any]]:
    """Return the columns of the thresholds table; none where no target has a threshold.

    Args:
        targets: names of the targets.
        found: thresholds by model.
    """
    rows = []
    for target in targets:
        if target in found:
            headline = found[target]
            rows.append(_row(target, headline, headline=True))
            rows += [_row(target, entry, headline=False) for entry in headline.further.values()]
    return {name: [row.get(name) for row in rows] for name in THRESHOLDS.names} if rows else {}


def _row(target: str, entry: ThresholdRecord, *, headline: bool) -> dict[str, Any]:
    row = {
        "target": target,
        "threshold_rule": entry.rule,
        "headline": headline,
        "threshold": entry.threshold,
        "threshold_low": entry.low,
        "threshold_high": entry.high,
        "impostors": entry.impostors,
        "genuine": entry.genuine,
        "true_accept_rate": entry.true_accept_rate,
        "equal_error_rate": entry.equal_error_rate,
        "accuracy": entry.accuracy,
    }
    if entry.impostors and entry.false_accepts is not None:
        low, high = interval(entry.false_accepts, entry.impostors)
        rate = entry.false_accepts / entry.impostors
        row |= {"false_accept_rate": rate, "false_accept_low": low, "false_accept_high": high}
    return row
