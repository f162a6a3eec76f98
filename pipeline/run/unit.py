"""A unit of work: one attack on one batch, carried through to its rows."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Task
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.engine import AttackResult, Engine
from gauntlet.pipeline.run.evaluator import CleanVerdicts, Evaluator
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

    def __init__(
        self,
        plan: Plan,
        examples: Examples,
        positions: Sequence[int],
        evaluator: Evaluator,
        folder: RunFolder,
        begun: bool = False,
    ) -> None:
        """Decode the batch, and report what cannot be decoded.

        Args:
            plan: the run's plan.
            examples: all examples of the run.
            positions: those of the batch.
            evaluator: the targets.
            folder: takes the failures.
            begun: whether an attack has finished on the batch. What it could not read stays out
                even if it can be read by now: all attacks are compared on the same examples.
        """
        loaded = examples.load(positions)
        ids = [examples.ids[position] for position in positions]
        report = f"input-{_digest(ids)}"
        reasons = {item.id: item.reason for item in loaded.rejected}
        if begun:
            earlier = folder.rows("failures", report, ("example", "reason")).to_pylist()
            reasons = {row["example"]: row["reason"] for row in earlier} | reasons
        self.batch: Batch | None = _without(loaded.batch, reasons.keys())
        self.rejected = tuple(reasons)
        self._evaluator = evaluator
        self._lock = threading.Lock()
        self._clean: CleanVerdicts | None = None
        rows = [(example, "input", reason) for example, reason in reasons.items()]
        Failures(None, rows).write(folder, report)

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
        id: hash of what determines its rows; names its files and its ledger entry.
        attack: the attack.
        ids: examples asked for, before any was rejected.
        work: the decoded batch.
    """

    id: str
    attack: Attack
    ids: tuple[str, ...]
    work: BatchWork


def unit_id(plan: Plan, attack: Attack, ids: Sequence[str]) -> str:
    """Return the id of a unit: the same whenever, wherever and with whatever workers it is done."""
    return _digest(
        {
            "attack": attack.summary(),
            "ids": list(ids),
            "seed": plan.seed,
            "task": plan.task.model_dump(mode="json"),
            "evaluate": plan.evaluate.model_dump(mode="json"),
            "surrogates": [model.model_dump(mode="json") for model in plan.surrogates],
            "targets": [model.model_dump(mode="json") for model in plan.targets],
        }
    )


class UnitWriter:
    """Carries units through attack, targets and measurements, and writes their rows."""

    def __init__(self, plan: Plan, engine: Engine, evaluator: Evaluator, folder: RunFolder) -> None:
        self._plan, self._engine, self._evaluator, self._folder = plan, engine, evaluator, folder

    def write(self, unit: Unit) -> int:
        """Attack, judge, write, record; return the number of examples lost on the way."""
        started = time.perf_counter()
        batch = unit.work.batch
        failures = Failures(unit.attack.label)
        rows = lost = 0
        if batch is not None:
            result = self._engine.attack(unit.attack, batch, self._judged(unit, batch))
            lost = len(result.lost)
            for row in result.lost.values():
                why = f"step {row.step}, surrogate {row.model!r}: {row.reason}"
                failures.add(row.example, "attack", why)
            if lost < len(batch):
                rows = self._write_kept(unit, batch, result, failures)
        failures.write(self._folder, unit.id)
        seconds = round(time.perf_counter() - started, 3)
        self._folder.finish(
            unit.id, {"attack": unit.attack.label, "rows": rows, "lost": lost, "seconds": seconds}
        )
        return lost

    def _judged(self, unit: Unit, batch: Batch) -> JudgedSteps | None:
        """Return which iterates to judge, without the last one: the result is judged by itself."""
        evaluate = self._plan.evaluate
        steps = evaluate.before_last(unit.attack.steps)
        if not steps:
            return None
        verification = batch.goal.task is Task.VERIFICATION
        references = unit.work.clean.references if verification else {}
        criterion = self._evaluator.criterion(batch, unit.attack.label, references)
        return JudgedSteps(steps, criterion, evaluate.quantize)

    def _write_kept(
        self, unit: Unit, batch: Batch, result: AttackResult, failures: Failures
    ) -> int:
        """Judge and write the examples that were not lost; return the number of verdicts."""
        plan, attack, clean = self._plan, unit.attack, unit.work.clean
        kept = np.array([row for row in range(len(batch)) if row not in result.lost], np.int64)
        rows = torch.from_numpy(kept)
        images, trace = result.images[rows], result.trace.rows(rows)
        identity = identity_columns(plan, attack, [batch.ids[row] for row in kept])
        last = self._evaluator.last(attack, batch, result.images, clean, kept)
        steps = [*(step.rows(kept) for step in result.steps), last]
        tables = {
            "verdicts": verdict_columns(
                self._evaluator, attack, identity, steps, clean, kept, failures
            )
        }
        if (spec := plan.evaluate.interactions) is not None:
            size = plan.resources.rows_per_pass
            request = InteractionRequest(batch.rows(rows), images, spec, plan.seed, size)
            found = self._engine.ask(plan.surrogates_of(attack), request)
            tables["interactions"] = interaction_columns(spec, identity, last.l2, found, failures)
        for row in np.flatnonzero(silent(trace)).tolist():
            failures.add(identity["example"][row], "gradient", no_gradient(attack))
        tables["examples"] = example_columns(plan.evaluate, identity, attack, trace, last, images)
        if plan.evaluate.traces:
            tables["traces"] = trace_columns(attack, identity["example"], trace)
        # Nothing is written before everything is known: a unit that fails before leaves no rows.
        for table, columns in tables.items():
            if columns:
                self._folder.write_rows(table, unit.id, columns)
        return len(tables["verdicts"].get("example", ()))


def _without(batch: Batch | None, ids: Collection[str]) -> Batch | None:
    if batch is None or not set(ids) & set(batch.ids):
        return batch
    rows = [row for row, example in enumerate(batch.ids) if example not in ids]
    return batch.rows(torch.tensor(rows)) if rows else None


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=10).hexdigest()
