"""The verdicts table: one row an adversarial image x target x evaluated step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.evaluation.verdict import Judgement, clean_correct
from gauntlet.pipeline.results.schema import by_rule
from gauntlet.pipeline.run.evaluator import CleanVerdicts, Evaluator, not_finite
from gauntlet.pipeline.run.rows.columns import Columns
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.steps import StepVerdicts


def verdict_columns(
    evaluator: Evaluator,
    attack: Attack,
    identity: Mapping[str, Any],
    steps: Sequence[StepVerdicts],
    clean: CleanVerdicts,
    kept: np.ndarray,
    failures: Failures,
) -> dict[str, Any]:
    """Return the columns of the verdicts table: step by step, target by target, K rows each.

    Where a target's output is not finite, at one step or before the attack, the example has no row
    of that target at any step (so that all points of a curve are about the same examples) and goes
    to the failures.

    Args:
        evaluator: the targets.
        attack: what was judged.
        identity: columns that say which attack on which K examples the rows are about.
        steps: what the targets say after each judged update, on those K examples.
        clean: what the targets say of the whole batch before the attack.
        kept: the K rows of the batch.
        failures: collects the failures.

    Returns:
        The columns; none when no target has finite outputs.
    """
    ids, goal = identity["example"], Goal(identity["goal"])
    good = {
        name: _sound(name, identity, steps, clean, kept, failures) for name in evaluator.targets
    }
    columns = Columns()
    for step in steps:
        for name, said in step.judgements.items():
            rows = good[name]
            if not len(rows):
                continue
            judgement, before = said.rows(rows), clean.judgements[name].rows(kept[rows])
            correct, accepts = clean.correct[name], clean.accepted[name]
            bar = judgement.threshold
            columns.add(
                len(rows),
                **{**identity, "example": [ids[row] for row in rows]},
                target=name,
                group=evaluator.group(attack, name),
                white_box=evaluator.white_box(attack, name),
                step=step.step,
                success=judgement.success,
                success_std=judgement.success_std,
                score=judgement.score,
                score_std=judgement.score_std,
                threshold=evaluator.threshold(name) if bar is None else bar,
                threshold_rule=evaluator.rule(name),
                rank=judgement.rank,
                clean_score=before.score,
                clean_success=before.success,
                clean_correct=None if correct is None else correct[kept[rows]],
                clean_accepted=None if accepts is None else accepts[kept[rows]],
                prediction=judgement.prediction,
                repeats=evaluator.repeats(name),
                linf=step.linf[rows],
                l2=step.l2[rows],
                **_by_further_rules(evaluator.further(name), judgement, before, goal),
            )
    return columns.joined()


def _by_further_rules(
    thresholds: Mapping[str, float], judgement: Judgement, before: Judgement, goal: Goal
) -> dict[str, Any]:
    """Return the columns of each further rule, with its name behind theirs."""
    columns: dict[str, Any] = {}
    for rule, threshold in thresholds.items():
        values = {
            "threshold": threshold,
            "success": judgement.further[rule],
            "clean_success": before.further[rule],
            "clean_correct": clean_correct(before, goal, threshold),
        }
        columns |= {by_rule(name, rule): value for name, value in values.items()}
    return columns


def _sound(
    name: str,
    identity: Mapping[str, Any],
    steps: Sequence[StepVerdicts],
    clean: CleanVerdicts,
    kept: np.ndarray,
    failures: Failures,
) -> np.ndarray:
    """Return which of K examples a target has finite outputs on throughout, int (R,)."""
    ids = identity["example"]
    shown = [("the clean image", clean.judgements[name].rows(kept))]
    shown += [(f"the image after update {step.step}", step.judgements[name]) for step in steps]
    sound = np.ones(len(ids), bool)
    for what, judgement in shown:
        finite = np.isfinite(judgement.score)
        for row in np.flatnonzero(sound & ~finite).tolist():
            reason = not_finite("target", name, what)
            failures.add(ids[row], "evaluate", reason, identity["attack"])
        sound &= finite
    return np.flatnonzero(sound)
