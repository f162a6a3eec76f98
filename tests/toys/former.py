"""Runs as version 0.1 left them: a ledger of finished units, and no record."""

from __future__ import annotations

import shutil
from pathlib import Path

from gauntlet.pipeline.results import RunFolder


def as_former(run: Path) -> Path:
    """Turn a run into one of version 0.1; return it."""
    units = RunFolder(str(run)).finished()
    shutil.rmtree(run / "record")
    (run / "ledger").mkdir()
    for unit in units:
        (run / "ledger" / f"{unit}.json").write_text("{}")
    return run
