"""A unit of work: one attack on one batch, carried through to its rows."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.attacks.loop import Attacked
from pipeline.attacks.recipe import Attack
from pipeline.batch import Batch
from pipeline.data.examples import Examples
from pipeline.evaluation.distances import l2_distance, linf_distance
from pipeline.results.folder import RunFolder
from pipeline.run.engine import Engine
from pipeline.run.judging import CleanAnswers, Judges
from pipeline.run.plan import Plan


class BatchWork:
    """A decoded batch and what the targets say of its clean images: shared by all attacks on it."""

    def __init__(
        self,
        plan: Plan,
        examples: Examples,
        positions: Sequence[int],
        judges: Judges,
        folder: RunFolder,
    ) -> None:
        loaded = examples.load(positions)
        self.batch: Batch | None = loaded.batch
        self.rejected = len(loaded.rejected)
        self._judges = judges
        self._lock = threading.Lock()
        self._clean: CleanAnswers | None = None
        if loaded.rejected:
            ids = [examples.ids[position] for position in positions]
            folder.write_rows(
                "failures",
                f"input-{_digest(ids)}",
                {
                    "example": [item.id for item in loaded.rejected],
                    "attack": None,
                    "stage": "input",
                    "reason": [item.reason for item in loaded.rejected],
                },
            )

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


def write_unit(plan: Plan, unit: Unit, engine: Engine, judges: Judges, folder: RunFolder) -> int:
    """Attack, judge, write, record; return the number of examples lost on the way."""
    started = time.perf_counter()
    batch = unit.work.batch
    rows = lost = 0
    if batch is not None:
        result = engine.attack(unit.attack, batch)
        lost = len(result.lost)
        rows = _write(plan, unit, batch, result, judges, folder)
    if not lost:
        folder.delete(f"failures/{unit.id}.parquet")  # of an earlier attempt that gave up
    seconds = round(time.perf_counter() - started, 3)
    folder.finish(
        unit.id, {"attack": unit.attack.label, "rows": rows, "lost": lost, "seconds": seconds}
    )
    return lost


def _write(
    plan: Plan, unit: Unit, batch: Batch, result: Attacked, judges: Judges, folder: RunFolder
) -> int:
    if result.lost:
        folder.write_rows(
            "failures",
            unit.id,
            {
                "example": [lost.example for lost in result.lost.values()],
                "attack": unit.attack.label,
                "stage": "attack",
                "reason": [
                    f"step {lost.step}, surrogate {lost.model!r}: {lost.reason}"
                    for lost in result.lost.values()
                ],
            },
        )
    kept = torch.tensor([row for row in range(len(batch)) if row not in result.lost])
    if not len(kept):
        return 0
    linf = linf_distance(result.images[kept], batch.images[kept])
    l2 = l2_distance(result.images[kept], batch.images[kept])
    identity = _identity(plan, unit.attack, [batch.ids[row] for row in kept.tolist()])
    clean = unit.work.clean
    verdicts = judges.verdicts(unit.attack, batch, result.images, clean, kept)
    for name, column in (("linf", linf), ("l2", l2)):
        verdicts[name] = np.tile(column, len(plan.targets))
    repeated: dict[str, Any] = {
        name: value * len(plan.targets) if isinstance(value, list) else value
        for name, value in identity.items()
    }
    rows = folder.write_rows("verdicts", unit.id, {**repeated, **verdicts})
    images = _stored(result.images[kept], plan.evaluate.quantize) if plan.evaluate.images else None
    folder.write_rows(
        "examples",
        unit.id,
        {
            **identity,
            "linf": linf,
            "l2": l2,
            "height": result.images.shape[2] if images else None,
            "width": result.images.shape[3] if images else None,
            "dtype": ("uint8" if plan.evaluate.quantize else "float32") if images else None,
            "image": images,
        },
    )
    if plan.evaluate.traces:
        _write_traces(unit, identity["example"], result, kept, folder)
    return rows


def _identity(plan: Plan, attack: Attack, ids: list[str]) -> dict[str, Any]:
    """Return the columns that say which attack on which example a row is about."""
    names = attack.surrogates or tuple(model.name for model in plan.surrogates)
    return {
        "example": ids,
        "task": plan.task.kind.value,
        "goal": plan.task.goal.value,
        "attack": attack.label,
        "base": attack.base,
        "combine": attack.combine,
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


def _write_traces(
    unit: Unit, ids: list[str], result: Attacked, kept: Tensor, folder: RunFolder
) -> None:
    trace = result.trace
    steps = len(trace.linf)
    if not steps:
        return
    k = trace.values.shape[2]
    folder.write_rows(
        "traces",
        unit.id,
        {
            "example": ids * steps,
            "attack": unit.attack.label,
            "step": np.repeat(np.arange(1, steps + 1), len(ids)),
            "losses": trace.values[:, kept].double().reshape(-1, k).tolist(),
            "weights": trace.weights[:, kept].double().reshape(-1, k).tolist(),
            "linf": (255 * trace.linf[:, kept].double()).flatten().numpy(),
            "l2": (255 * trace.l2rms[:, kept].double()).flatten().numpy(),
            "fallback": trace.fallback[:, kept].flatten().numpy(),
        },
    )


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=10).hexdigest()
