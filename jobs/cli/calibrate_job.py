"""What `gauntlet calibrate` does."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from gauntlet.actors.launch import ready
from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.cli.readiness import changed
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.reports.thresholds import print_thresholds
from gauntlet.jobs.spec.checks.inspection import CALIBRATING
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.evaluation.false_accepts import too_few
from gauntlet.pipeline.evaluation.threshold_rules import FalseAccepts
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.calibration import calibrated, calibrating, given_thresholds, headed
from gauntlet.pipeline.run.rows.thresholds import threshold_columns


def calibrate_job(
    job: str,
    changes: Sequence[str],
    address: str | None,
    placement: str | None,
    allowed: Sequence[str],
) -> int:
    """Print the thresholds of a job's targets by its rules, with their error rates.

    Raises:
        BadInput: when the job is wrong, is not one of verification, or has no pairs of both kinds.
    """
    loaded = open_job(find_job(job), changed(changes, placement), allowed, CALIBRATING)
    plan, out = loaded.plan, terminal()
    if plan.task.kind is not Task.VERIFICATION:
        what = f"{plan.name} is a job of {plan.task.kind.value}, which has no thresholds to find"
        raise BadInput(Problem("task", what))
    attacked = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    examples = calibrating(plan, attacked)
    pairs = examples.verification_pairs()
    same, total = int(pairs.same.sum()), len(pairs.first)
    doubts = {
        rule: why
        for rule in plan.threshold
        if isinstance(rule, FalseAccepts) and (why := too_few(rule.far, total - same))
    }
    rules = [rule for rule in plan.threshold if rule not in doubts] or ["accuracy"]
    given = given_thresholds(plan)
    asked = {
        spec.name: [*([given[spec.name]] if spec.name in given else []), *rules]
        for spec in plan.targets
    }
    with (
        shown_on(terminal(stderr=True)) as progress,
        ready(plan, progress, address, loaded.permission, checked=True) as engine,
    ):
        found = calibrated(plan, examples, pairs, engine, progress, asked)
    out.print(f"{total:,} pairs, {same:,} of one person and {total - same:,} of different people")
    by_target = {name: headed(by_name) for name, by_name in found.items()}
    print_thresholds(pd.DataFrame(threshold_columns([*asked], by_target)), out)
    for why in doubts.values():
        out.print(f"not fixed: {why}", style="yellow", soft_wrap=True)
    return Status.INCOMPLETE if doubts else Status.DONE
