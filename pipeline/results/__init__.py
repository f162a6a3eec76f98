"""Result tables: `read(run, "verdicts")` gives a pandas frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.manifest import Manifest
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.schema import TABLES

__all__ = ["TABLES", "Manifest", "RunFolder", "decode_image", "manifest", "read"]


def read(
    run: str, table: str, columns: Sequence[str] | None = None, sound: bool = False
) -> pd.DataFrame:
    """Return the rows of a table of a run that count.

    Of a run that is neither at work nor was interrupted that is what
    ``pandas.read_parquet(f"{run}/{table}")`` gives, too.

    Args:
        run: the run's folder.
        table: a name in `TABLES`.
        columns: those that are wanted; all of them by default.
        sound: leave the rows of damaged files out, instead of refusing the table.

    Raises:
        ValueError: when there is no such table, no run at that place, or a damaged file.
    """
    if table not in TABLES:
        raise ValueError(f"unknown table {table!r}; known: {', '.join(TABLES)}")
    folder = RunFolder(run)
    if not folder.holds_run():
        raise ValueError(f"{run}: no run here (plan.json is missing)")
    frame: pd.DataFrame = folder.table(table, columns, sound).to_pandas()
    return frame


def manifest(run: str) -> Manifest:
    """Return what a run recorded about its models, attacks, thresholds and software.

    Raises:
        BadInput: when the file is missing or damaged.
    """
    return records.manifest(RunFolder(run))


def decode_image(row: pd.Series) -> np.ndarray:
    """Return the image of a row of the `examples` table, (height, width, 3), uint8 or float32."""
    flat = np.frombuffer(row["image"], dtype=row["dtype"])
    return flat.reshape(int(row["height"]), int(row["width"]), 3)
