"""How much a run writes: rows, files and bytes, before any is there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gauntlet.pipeline.results.sized_files import Sizes
from gauntlet.pipeline.run.plan import Evaluate, Plan

WAITING = {"examples": 200, "verdicts": 260, "traces": 120, "interactions": 400}
"""Bytes of a row in a buffer, without pixels: what decides when a part is due."""
STORED = {"examples": 90, "verdicts": 15, "traces": 40, "interactions": 90}
"""Bytes of a row in a file, without pixels; most words recur, and take next to none."""
WAITING_BY_RULE, STORED_BY_RULE = 25, 1
"""Bytes that a row of the verdicts has more of, of each further rule of thresholds: three reals and
a flag while it waits; in a file a threshold recurs, and the others take a bit each."""


@dataclass(frozen=True)
class Amount:
    """What a run writes to a table.

    Attributes:
        table: its name.
        rows: how many.
        bytes: of all its files, within some tens of percent where there are no pixels.
        parts: files until the run is complete, at least: slow runs write more of them.
        files: when they have been compacted.
    """

    table: str
    rows: int
    bytes: int
    parts: int
    files: int


def amounts(plan: Plan, examples: int, size: tuple[int, int], carriers: int) -> list[Amount]:
    """Return what a run writes, table by table.

    Args:
        plan: what is run.
        examples: attacked, all of them without failure.
        size: height and width of the images.
        carriers: processes that buffer rows.
    """
    evaluate, images = plan.evaluate, examples * len(plan.attacks)
    rows = {
        "examples": images,
        "verdicts": examples * len(plan.targets) * sum(judged(plan)),
        "traces": examples * sum(attack.steps for attack in plan.attacks) * evaluate.traces,
    }
    if evaluate.interactions is not None:
        rows["interactions"] = examples * sum(
            len(plan.surrogates_of(attack)) for attack in plan.attacks
        )
    further = len(plan.threshold) - 1
    pixels = {"examples": _pixels(evaluate, size)}
    held = {**pixels, "verdicts": further * WAITING_BY_RULE}
    stored = {**pixels, "verdicts": further * STORED_BY_RULE}
    waiting = sum(count * (WAITING[t] + held.get(t, 0)) for t, count in rows.items())
    units = math.ceil(examples / plan.resources.batch) * len(plan.attacks)
    full = math.ceil(waiting / (plan.resources.part_megabytes * 2**20))
    parts = min(units, max(full, min(carriers, units)))
    return [
        _amount(table, count, STORED[table] + stored.get(table, 0), parts)
        for table, count in rows.items()
        if count
    ]


def judged(plan: Plan) -> list[int]:
    """Return how many iterates of each attack every target judges."""
    return [len(plan.evaluate.before_last(attack.steps)) + 1 for attack in plan.attacks]


def _pixels(evaluate: Evaluate, size: tuple[int, int]) -> int:
    if not evaluate.images:
        return 0
    return 3 * math.prod(size) * (1 if evaluate.quantize else 4)


def _amount(table: str, rows: int, each: int, parts: int) -> Amount:
    total = rows * each
    return Amount(table, rows, total, parts, max(1, math.ceil(total / Sizes().most)))
