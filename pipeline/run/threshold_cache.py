"""Thresholds found before, by model, pair list and seed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat

from gauntlet.pipeline.files import obstacle


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow")

    pairs: int
    threshold: FiniteFloat
    accuracy: FiniteFloat


def folder() -> Path:
    """Return the cache's folder: `GAUNTLET_CACHE`, or `gauntlet` in the user's cache."""
    if given := os.environ.get("GAUNTLET_CACHE"):
        return Path(given) / "thresholds"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gauntlet" / "thresholds"


def load(key: str) -> dict[str, Any] | None:
    """Return what was found under a key, or None; an unreadable entry is found anew."""
    path = folder() / f"{key}.json"
    try:
        if obstacle(path):
            return None
        return _Entry.model_validate_json(path.read_bytes()).model_dump()
    except (OSError, ValueError):
        return None


def save(key: str, entry: Mapping[str, Any]) -> None:
    """Keep an entry; a cache that cannot be written costs time, nothing else."""
    path = folder() / f"{key}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(dict(entry)))
        aside.replace(path)
    except OSError:
        return
