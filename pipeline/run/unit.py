"""A unit of work: one attack on one batch, carried through to its rows."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Task
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.foreign import finished
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.run.engine import Attackable, AttackResult
from gauntlet.pipeline.run.evaluator import CleanVerdicts, Evaluator
from gauntlet.pipeline.run.order import Order
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.rows.examples import example_columns
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.rows.identity import identity_columns
from gauntlet.pipeline.run.rows.interactions import InteractionRequest, interaction_columns
from gauntlet.pipeline.run.rows.traces import trace_columns
from gauntlet.pipeline.run.rows.unmoved import no_gradient, silent
from gauntlet.pipeline.run.rows.verdicts import verdict_columns
from gauntlet.pipeline.run.steps import JudgedSteps


class BatchWork:
    """A decoded batch and what the targets say of its clean images: shared by all attacks on it."""

    def __init__(self, examples: Examples, evaluator: Evaluator, order: Order) -> None:
        """Decode the batch.

        Args:
            examples: all that the data source gives.
            evaluator: the targets.
            order: names the batch. What an earlier attack on it was without stays out even if it
                can be read by now: all attacks are compared on the same examples.

        Raises:
            BadInput: when the data here are not those of the order.
        """
        found = [examples.ids[position] for position in order.positions]
        if found != [*order.ids]:
            at = next(n for n, (a, b) in enumerate(zip(found, order.ids, strict=True)) if a != b)
            what = (
                f"example {order.positions[at]} is {found[at]!r} here and {order.ids[at]!r} where "
                "the run was started: the data must be the same wherever work is done"
            )
            raise BadInput(Problem("data", what))
        self.everyone = examples.ids
        loaded = examples.load(order.positions)
        fresh = {item.id: item.reason for item in loaded.rejected}
        self.left_out = {**order.left_out, **fresh}
        self.batch: Batch | None = _without(loaded.batch, self.left_out.keys())
        self._evaluator = evaluator
        self._lock = threading.Lock()
        self._clean: CleanVerdicts | None = None

    @property
    def clean(self) -> CleanVerdicts:
        """What every target says before the attack; asked for once."""
        with self._lock:
            if self._clean is None:
                assert self.batch is not None
                self._clean = self._evaluator.clean(self.batch)
            return self._clean


@dataclass(frozen=True)
class Unit:
    """One attack on one batch.

    Attributes:
        id: hash of what determines its rows.
        attack: the attack.
        work: the decoded batch.
        reports: whether it has the rows about what of the batch could not be read: one unit of a
            batch has.
        rows_per_pass: most image views that a surrogate takes at a time, where there was no memory
            for those of the plan.
    """

    id: str
    attack: Attack
    work: BatchWork
    reports: bool
    rows_per_pass: int | None = None


class UnitIds:
    """Names a plan's units: the same whenever, wherever and with whatever workers they are done."""

    def __init__(self, plan: Plan) -> None:
        shared = {
            "seed": plan.seed,
            "task": plan.task.model_dump(mode="json"),
            "evaluate": plan.evaluate.model_dump(mode="json"),
            "surrogates": [model.model_dump(mode="json") for model in plan.surrogates],
            "targets": [model.model_dump(mode="json") for model in plan.targets],
        }
        self._attacks = [_digest({"attack": a.summary(), **shared}) for a in plan.attacks]

    def of(self, ids: Sequence[str]) -> list[str]:
        """Return the ids of a batch's units, attack by attack."""
        batch = _digest([*ids])
        return [_digest([attack, batch]) for attack in self._attacks]


Tables = dict[str, dict[str, Any]]
"""Columns by table."""


class UnitRows:
    """Carries units through attack, targets and measurements, to their rows."""

    def __init__(self, plan: Plan, models: Attackable, evaluator: Evaluator) -> None:
        self._plan, self._models, self._evaluator = plan, models, evaluator

    def of(self, unit: Unit) -> tuple[Tables, UnitDone]:
        """Attack, judge and measure; return the rows, and what they come to."""
        started = time.perf_counter()
        work = unit.work
        failures = Failures(self._plan.seed_of(unit.attack))
        if unit.reports:
            for example, reason in work.left_out.items():
                failures.add(example, "input", reason)
        lost, excess = 0, None
        tables: Tables = {}
        if work.batch is not None:
            label = unit.attack.label
            judged = self._judged(unit, work.batch)
            result = self._attacked(unit, work.batch, judged)
            excess = largest_excess(result)
            lost = len(result.lost)
            for row in result.lost.values():
                why = f"step {row.step}, surrogate {row.model!r}: {row.reason}"
                failures.add(row.example, "attack", why, label)
            if lost < len(work.batch):
                tables = self._kept(unit, work.batch, result, failures)
        tables["failures"] = failures.columns()
        done = UnitDone(
            attack=unit.attack.label,
            rows=len(tables.get("verdicts", {}).get("example", ())),
            lost=lost,
            seconds=round(time.perf_counter() - started, 3),
            left_out=work.left_out,
            rows_per_pass=unit.rows_per_pass,
            excess=excess,
        )
        return tables, done

    def _attacked(self, unit: Unit, batch: Batch, judged: JudgedSteps | None) -> AttackResult:
        plan = self._plan
        if unit.attack.images is None:
            return self._models.attack(unit.attack, batch, judged, unit.rows_per_pass)
        found = finished.judged(
            unit.attack, batch, unit.work.everyone, plan.root, plan.evaluate.quantize
        )
        return AttackResult(found.images, found.trace, found.lost, excess=found.excess)

    def _judged(self, unit: Unit, batch: Batch) -> JudgedSteps | None:
        """Return which iterates to judge, without the last one: the result is judged by itself."""
        evaluate = self._plan.evaluate
        steps = evaluate.before_last(unit.attack.steps)
        if not steps:
            return None
        verification = batch.goal.task is Task.VERIFICATION
        references = unit.work.clean.references if verification else {}
        seed = self._plan.seed_of(unit.attack)
        criterion = self._evaluator.criterion(batch, unit.attack.label, references, seed=seed)
        return JudgedSteps(steps, criterion, evaluate.quantize)

    def _kept(self, unit: Unit, batch: Batch, result: AttackResult, failures: Failures) -> Tables:
        """Judge the examples that were not lost; return their rows."""
        plan, attack, clean = self._plan, unit.attack, unit.work.clean
        kept = np.array([row for row in range(len(batch)) if row not in result.lost], np.int64)
        rows = torch.from_numpy(kept)
        images, trace = result.images[rows], result.trace.rows(rows)
        identity = identity_columns(plan, attack, [batch.ids[row] for row in kept])
        last = self._evaluator.last(attack, batch, result.images, clean, kept)
        steps = [*(step.rows(kept) for step in result.steps), last]
        tables: Tables = {
            "verdicts": verdict_columns(
                self._evaluator, attack, identity, steps, clean, kept, failures
            )
        }
        if (spec := plan.evaluate.interactions) is not None:
            size = unit.rows_per_pass or plan.resources.rows_per_pass
            request = InteractionRequest(batch.rows(rows), images, spec, plan.seed_of(attack), size)
            found = self._models.ask(plan.surrogates_of(attack), request)
            tables["interactions"] = interaction_columns(spec, identity, last.l2, found, failures)
        for row in np.flatnonzero(silent(trace)).tolist():
            failures.add(identity["example"][row], "gradient", no_gradient(attack), attack.label)
        tables["examples"] = example_columns(plan.evaluate, identity, attack, trace, last, images)
        if plan.evaluate.traces:
            tables["traces"] = trace_columns(identity, trace)
        return tables


def largest_excess(result: AttackResult) -> float | None:
    """Return the most by which a foreign attack left its ball, 8-bit steps; None of ours."""
    return None if result.excess is None else round(255 * float(result.excess.max()), 3)


def _without(batch: Batch | None, ids: Collection[str]) -> Batch | None:
    if batch is None or not set(ids) & set(batch.ids):
        return batch
    rows = [row for row, example in enumerate(batch.ids) if example not in ids]
    return batch.rows(torch.tensor(rows)) if rows else None


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=10).hexdigest()
