"""Rows of tables as a run has them, without a run: any number, in no time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.results.schema import TABLES

TARGETS = ("t0", "t1", "t2", "t3", "t4")


def done(attack: str, rows: int = 0) -> UnitDone:
    return UnitDone(attack=attack, rows=rows, lost=0, seconds=0.1)


def unit_rows(
    attack: str, examples: Sequence[str], pixels: int = 4, targets: Sequence[str] = TARGETS
) -> dict[str, dict[str, Any]]:
    """The rows of a unit of work by table: each value depends on attack, example and target."""
    draws = np.random.default_rng([*attack.encode(), *examples[0].encode()])
    count, k = len(examples), len(targets)
    images = draws.integers(0, 256, (count, pixels * pixels * 3), np.uint8)
    found = {
        "examples": _filled("examples", count)
        | {"example": [*examples], "attack": attack, "dtype": "uint8"}
        | {"height": pixels, "width": pixels, "image": [image.tobytes() for image in images]},
        "verdicts": _filled("verdicts", count * k)
        | {"example": [*np.repeat(examples, k)], "attack": attack, "step": 10}
        | {"target": [*targets] * count, "score": draws.normal(size=count * k)},
        "traces": _filled("traces", count * 2)
        | {"example": [*np.repeat(examples, 2)], "attack": attack, "step": [1, 2] * count}
        | {"losses": [[float(n), 1.0] for n in range(count * 2)], "weights": [[]] * count * 2},
    }
    lost = [example for example in examples if example.endswith("3")]
    if lost:
        found["failures"] = {
            "example": lost, "attack": attack, "stage": "gradient", "reason": "was zero"
        }  # fmt: skip
    return found


def _filled(table: str, rows: int) -> dict[str, Any]:
    """Return every column of a table with the same values in each row."""
    values: dict[pa.DataType, Any] = {
        pa.string(): "", pa.float64(): 0.5, pa.int32(): 1, pa.bool_(): True
    }  # fmt: skip
    return {
        field.name: [values.get(field.type)] * rows if field.name == "example" else
        values.get(field.type)
        for field in TABLES[table]
        if field.name != "unit"
    }  # fmt: skip
