"""Thresholds found before, by model, pair list, seed and rule."""

from __future__ import annotations

import json
import math

from gauntlet.pipeline import user_cache
from gauntlet.pipeline.results.manifest import ThresholdRecord

_KIND = "thresholds"


def load(key: str) -> ThresholdRecord | None:
    """Return what was found under a key, or None; an unreadable entry is found anew."""
    if (content := user_cache.read(_KIND, key)) is None:
        return None
    try:
        found = ThresholdRecord.model_validate_json(content)
    except ValueError:
        return None
    # Entries of earlier versions have no equal error rate.
    complete = None not in (found.pairs, found.accuracy, found.equal_error_rate)
    return found if complete and math.isfinite(found.threshold) else None


def save(key: str, entry: ThresholdRecord) -> None:
    """Keep an entry; a cache that cannot be written costs time, nothing else."""
    user_cache.write(_KIND, key, json.dumps(entry.model_dump(exclude_unset=True)))
