"""Attacks side by side: rates with intervals, and paired tests, as the reports have them."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from gauntlet.pipeline.evaluation import comparison
from gauntlet.pipeline.evaluation.comparison import WHITE_BOX
from gauntlet.pipeline.evaluation.statistics import Comparison
from gauntlet.pipeline.evaluation.success_rates import by_group, by_target
from gauntlet.pipeline.problems import suggest

By = Literal["target", "group"]
_RATES = ("success", "low", "high", "n")
_TESTS = ("difference", "difference_low", "difference_high", "p_value", "shown")


def compare(verdicts: pd.DataFrame, a: str, b: str, *, by: By = "group") -> pd.DataFrame:
    """Compare two attacks on the examples that targets got right before both.

    Args:
        verdicts: from `evaluate`, or a run's; both attacks among them.
        a: label of an attack.
        b: label of the one that it is compared with.
        by: a row a ``group`` of targets, as ``gauntlet report --against`` has them, or a
            ``target``.

    Returns:
        ``a``, ``b``; ``difference`` of their success rates, a minus b, averaged over targets, with
        the ends of its 95 % interval (``difference_low``, ``difference_high``; paired bootstrap
        over examples); ``p_value`` of McNemar's test, for one target that draws nothing;
        ``shown``: whether both say that there is a difference; and that in ``words``.

    Raises:
        ValueError: when one of the attacks is not among the verdicts, or both are the same.
    """
    labels = _labels(verdicts)
    for label in (a, b):
        if label not in labels:
            raise ValueError(suggest(label, labels, "attack"))
    two = verdicts[verdicts["attack"].isin([a, b])]
    rows = [
        {by: judge, "a": a, "b": b, **_figures(found), "words": found.words}
        for judge, _, found in _against(two, b, by)
    ]
    return pd.DataFrame(rows, columns=[by, "a", "b", *_TESTS, "words"])


def matrix(
    verdicts: pd.DataFrame, *, by: By = "target", against: str | None = None
) -> pd.DataFrame:
    """Return attacks against targets: rates, intervals, and each attack beside one of them.

    Args:
        verdicts: from `evaluate` (several calls' with `pandas.concat`), or a run's.
        by: columns are a ``target`` each, or a ``group`` of targets.
        against: label of the attack that the others are tested against; the first by default.

    Returns:
        One row an attack. Columns are figure x target: ``matrix(verdicts)["success"]`` is the table
        of success rates over what targets got right before, ``low`` and ``high`` are the ends of
        their 95 % intervals (Wilson), ``n`` the examples that count; then, where there are several
        attacks, `compare`'s ``difference``, ``difference_low``, ``difference_high``, ``p_value``
        and ``shown``, empty for the reference itself.

    Raises:
        ValueError: when the reference is not among the verdicts, or an example occurs twice for an
            attack and a target.
    """
    labels = _labels(verdicts)
    reference = labels[0] if against is None and labels else against
    rates = _rates(verdicts, by)
    judges = list(rates[by].unique())
    tables = {
        figure: rates.pivot(index="attack", columns=by, values=figure).reindex(labels)[judges]
        for figure in _RATES
    }
    if reference is not None and (len(labels) > 1 or against is not None):
        every = pd.MultiIndex.from_product([labels, judges])
        tests = pd.DataFrame(index=every, columns=[*_TESTS])
        for judge, label, found in _against(verdicts, reference, by):
            tests.loc[(label, judge)] = _figures(found)
        for figure in _TESTS:
            column = tests[figure]
            column = column.astype("boolean" if figure == "shown" else "float64")
            tables[figure] = column.unstack()[judges].loc[labels]
    return pd.concat(tables, axis=1, names=["figure", by]).rename_axis("attack")


def _rates(verdicts: pd.DataFrame, by: By) -> pd.DataFrame:
    """Return a row an attack and judge; white boxes are a group of their own, as in comparisons."""
    if by == "target":
        return by_target(verdicts)
    rates = by_group(verdicts)
    apart = rates["white_box"] & (rates["group"] != "white-box")
    return rates.assign(group=rates["group"].where(~apart, rates["group"] + WHITE_BOX))


def _against(verdicts: pd.DataFrame, reference: str, by: By) -> list[tuple[str, str, Comparison]]:
    """Return comparisons with a reference by group; a target is a group of one."""
    if by == "group":
        return comparison.against(verdicts, reference)
    found = comparison.against(verdicts.assign(group=verdicts["target"]), reference)
    return [(judge.removesuffix(WHITE_BOX), label, result) for judge, label, result in found]


def _figures(found: Comparison) -> dict[str, float | bool]:
    gain, test = found.difference, found.mcnemar
    p_value = float("nan") if test is None else test.p_value
    figures = (gain.value, gain.low, gain.high, p_value, found.shown)
    return dict(zip(_TESTS, figures, strict=True))


def _labels(verdicts: pd.DataFrame) -> list[str]:
    return [str(label) for label in verdicts["attack"].unique()]
