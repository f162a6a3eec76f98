"""A unit of work: one attack on one batch, carried through to its rows."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.loop import Trace
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Task
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.results.folder import RunFolder
from gauntlet.pipeline.run.engine import Engine, Observed
from gauntlet.pipeline.run.failed import Failed
from gauntlet.pipeline.run.interactions import interaction_columns
from gauntlet.pipeline.run.judging import CleanAnswers, Judges
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.steps import StepAnswers, Watch
from gauntlet.pipeline.run.unmoved import no_gradient, silent, why_unmoved


class BatchWork:
    """A decoded batch and what the targets say of its clean images: shared by all attacks on it."""

    def __init__(
        self,
        plan: Plan,
        examples: Examples,
        positions: Sequence[int],
        judges: Judges,
        folder: RunFolder,
        begun: bool = False,
    ) -> None:
        """Decode the batch, and report what cannot be decoded.

        Args:
            plan: the run's plan.
            examples: all examples of the run.
            positions: those of the batch.
            judges: the targets.
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
        self._judges = judges
        self._lock = threading.Lock()
        self._clean: CleanAnswers | None = None
        if reasons:
            folder.write_rows(
                "failures",
                report,
                {
                    "example": list(reasons),
                    "attack": None,
                    "stage": "input",
                    "reason": list(reasons.values()),
                },
            )
        else:
            folder.delete(f"failures/{report}.parquet")

    @property
    def clean(self) -> CleanAnswers:
        """What every target says before the attack; asked for once."""
        with self._lock:
            if self._clean is None:
                assert self.batch is not None
                self._clean = self._judges.clean(self.batch)
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

    def __init__(self, plan: Plan, engine: Engine, judges: Judges, folder: RunFolder) -> None:
        self._plan, self._engine, self._judges, self._folder = plan, engine, judges, folder

    def write(self, unit: Unit) -> int:
        """Attack, judge, write, record; return the number of examples lost on the way."""
        started = time.perf_counter()
        batch = unit.work.batch
        failed = Failed(unit.attack.label)
        rows = lost = 0
        if batch is not None:
            result = self._engine.attack(unit.attack, batch, self._watch(unit, batch))
            lost = len(result.lost)
            for row in result.lost.values():
                failed.add(
                    row.example, "attack", f"step {row.step}, surrogate {row.model!r}: {row.reason}"
                )
            if lost < len(batch):
                rows = self._write_kept(unit, batch, result, failed)
        failed.write(self._folder, unit.id)
        seconds = round(time.perf_counter() - started, 3)
        self._folder.finish(
            unit.id, {"attack": unit.attack.label, "rows": rows, "lost": lost, "seconds": seconds}
        )
        return lost

    def _watch(self, unit: Unit, batch: Batch) -> Watch | None:
        """Return which iterates to judge, without the last one: the result is judged by itself."""
        evaluate = self._plan.evaluate
        steps = evaluate.before_last(unit.attack.steps)
        if not steps:
            return None
        verification = batch.goal.task is Task.VERIFICATION
        references = unit.work.clean.references if verification else {}
        panel = self._judges.panel(batch, unit.attack.label, references)
        return Watch(steps, panel, evaluate.quantize)

    def _write_kept(self, unit: Unit, batch: Batch, result: Observed, failed: Failed) -> int:
        """Judge and write the examples that were not lost; return the number of verdicts."""
        attack, clean, evaluate = unit.attack, unit.work.clean, self._plan.evaluate
        kept = np.array([row for row in range(len(batch)) if row not in result.lost], np.int64)
        rows = torch.from_numpy(kept)
        identity = _identity(self._plan, attack, [batch.ids[row] for row in kept])
        trace = result.trace.rows(rows)
        last = self._judges.last(attack, batch, result.images, clean, kept)
        answers = [*(step.rows(kept) for step in result.steps), last]
        verdicts = self._judges.verdicts(attack, identity, answers, clean, kept, failed)
        tables = {"verdicts": verdicts}
        if (spec := evaluate.interactions) is not None:
            found = self._engine.interactions(attack, batch.rows(rows), result.images[rows], spec)
            tables["interactions"] = interaction_columns(spec, identity, last.l2, found, failed)
        for row in np.flatnonzero(silent(trace)).tolist():
            failed.add(identity["example"][row], "gradient", no_gradient(attack))
        unmoved = why_unmoved(attack, trace, last.linf)
        tables["examples"] = self._example_columns(identity, last, unmoved, result.images[rows])
        if evaluate.traces and len(trace.linf):
            tables["traces"] = _trace_columns(attack, identity["example"], trace)
        # Nothing is written before everything is known: a unit that fails before leaves no rows.
        for table, columns in tables.items():
            if columns:
                self._folder.write_rows(table, unit.id, columns)
        return len(verdicts.get("example", ()))

    def _example_columns(
        self,
        identity: Mapping[str, Any],
        last: StepAnswers,
        unmoved: list[str | None],
        images: Tensor,
    ) -> dict[str, Any]:
        evaluate = self._plan.evaluate
        stored = _stored(images, evaluate.quantize) if evaluate.images else None
        return {
            **identity,
            "linf": last.linf,
            "l2": last.l2,
            "unmoved": unmoved,
            "height": images.shape[2] if stored else None,
            "width": images.shape[3] if stored else None,
            "dtype": ("uint8" if evaluate.quantize else "float32") if stored else None,
            "image": stored,
        }


def _without(batch: Batch | None, ids: Collection[str]) -> Batch | None:
    if batch is None or not set(ids) & set(batch.ids):
        return batch
    rows = [row for row, example in enumerate(batch.ids) if example not in ids]
    return batch.rows(torch.tensor(rows)) if rows else None


def _identity(plan: Plan, attack: Attack, ids: list[str]) -> dict[str, Any]:
    """Return the columns that say which attack on which example a row is about."""
    names = attack.surrogates or tuple(model.name for model in plan.surrogates)
    return {
        "example": ids,
        "task": plan.task.kind.value,
        "goal": plan.task.goal.value,
        "attack": attack.label,
        "base": attack.base,
        "rule": attack.combine,
        "surrogates": "+".join(names),
        "norm": attack.norm,
        "epsilon": _tidy(255 * attack.epsilon),
        "steps": attack.steps,
        "step_size": _tidy(255 * attack.alpha),
    }


def _tidy(value: float) -> float:
    """Round away the noise of 255 * (2 / 255), so that people can compare with ==."""
    return float(f"{value:.12g}") if math.isfinite(value) else value


def _stored(images: Tensor, quantized: bool) -> list[bytes]:
    wide = images.permute(0, 2, 3, 1).contiguous()
    stored = (wide * 255).round().to(torch.uint8) if quantized else wide.float()
    return [row.tobytes() for row in stored.numpy()]


def _trace_columns(attack: Attack, ids: Sequence[str], trace: Trace) -> dict[str, Any]:
    steps, k = len(trace.linf), trace.values.shape[2]
    return {
        "example": list(ids) * steps,
        "attack": attack.label,
        "step": np.repeat(np.arange(1, steps + 1), len(ids)),
        "losses": trace.values.double().reshape(-1, k).tolist(),
        "weights": trace.weights.double().reshape(-1, k).tolist(),
        "linf": (255 * trace.linf.double()).flatten().numpy(),
        "l2": (255 * trace.l2rms.double()).flatten().numpy(),
        "fallback": trace.fallback.flatten().numpy(),
    }


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=10).hexdigest()
