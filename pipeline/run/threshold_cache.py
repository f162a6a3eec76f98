"""Thresholds found before, by model, pair list and seed."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.results.manifest import ThresholdRecord


def folder() -> Path:
    """Return the cache's folder: `GAUNTLET_CACHE`, or `gauntlet` in the user's cache."""
    if given := os.environ.get("GAUNTLET_CACHE"):
        return Path(given) / "thresholds"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gauntlet" / "thresholds"


def load(key: str) -> ThresholdRecord | None:
    """Return what was found under a key, or None; an unreadable entry is found anew."""
    path = folder() / f"{key}.json"
    try:
        if obstacle(path):
            return None
        found = ThresholdRecord.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    complete = found.pairs is not None and found.accuracy is not None
    return found if complete and math.isfinite(found.threshold) else None


def save(key: str, entry: ThresholdRecord) -> None:
    """Keep an entry; a cache that cannot be written costs time, nothing else."""
    path = folder() / f"{key}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(entry.model_dump(exclude_unset=True)))
        aside.replace(path)
    except OSError:
        return
