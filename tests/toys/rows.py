"""Rows of tables as a run has them, without a run: any number, in no time."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.parts import Parts, Receipt
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import Begun, Commit, UnitDone
from gauntlet.pipeline.results.schema import ORDER, TABLES

ATTACKS = ("a/ens", "b/rgea", "c/mgda")
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
            "example": lost, "attack": attack, "seed": 0, "stage": "gradient", "reason": "was zero"
        }  # fmt: skip
    return found


def _filled(table: str, rows: int) -> dict[str, Any]:
    """Return every column of a table with the same values in each row."""
    values: dict[pa.DataType, Any] = {
        pa.string(): "", pa.float64(): 0.5, pa.int32(): 1, pa.int64(): 0, pa.bool_(): True
    }  # fmt: skip
    return {
        field.name: [values.get(field.type)] * rows if field.name == "example" else
        values.get(field.type)
        for field in TABLES[table]
        if field.name != "unit"
    }  # fmt: skip


def committed(
    folder: Path, parts: int = 5, seed: int = 0, examples: int = 48
) -> tuple[RunFolder, Record]:
    """A run whose units were finished in some order, and written in some number of parts."""
    run = RunFolder(str(folder))
    record = Record(run)
    record.append(Begun(version="0", plan={"seed": 1}, digest="d"))
    run.write("plan.json", b'{"seed":1}')
    carry_out(run, record, parts, seed, examples)
    return run, record


def carry_out(
    run: RunFolder, record: Record, parts: int = 1, seed: int = 0, examples: int = 48
) -> None:
    """Do what is left of such a run."""
    draws = random.Random(seed)
    work = [unit for unit in _units(examples) if unit[0] not in record.units]
    draws.shuffle(work)
    ends: Container[int] = {len(work), *draws.sample(range(1, len(work)), parts - 1)}

    def told(receipt: Receipt) -> None:
        record.append(Commit(files=receipt.files, units=dict(receipt.units)))
        run.place(file.name for file in receipt.files)

    buffer = Parts(run, 2**60, 1e9, told)
    for number, (unit, attack, ids) in enumerate(work, 1):
        buffer.add(unit, done(attack), unit_rows(attack, ids, pixels=16))
        if number in ends:
            buffer.write()


def _units(examples: int, batch: int = 4) -> list[tuple[str, str, list[str]]]:
    """Id, attack and examples of each unit."""
    ids = [f"image-{number:05d}" for number in range(examples)]
    batches = [ids[begin : begin + batch] for begin in range(0, examples, batch)]
    return [(f"{a[0]}{n}", a, some) for n, some in enumerate(batches) for a in ATTACKS]


def opened(folder: Path) -> tuple[RunFolder, Record]:
    run = RunFolder(str(folder))
    record = Record.read(run)
    assert record is not None
    return run, record


def contents(run: RunFolder) -> dict[str, bytes]:
    """Every file of a table by its name."""
    root = Path(run.location)
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.glob("*/*.parquet"))}


def sorted_rows(run: RunFolder, table: str) -> pd.DataFrame:
    """What counts of a table, in its order; equal keys would show as rows that are there twice."""
    frame: pd.DataFrame = run.table(table).to_pandas()
    return frame.sort_values([*ORDER[table]]).reset_index(drop=True)
