"""The user's cache: what takes time to find, a file each, and may be lost."""

from __future__ import annotations

import os
from pathlib import Path

from gauntlet.pipeline.files import obstacle


def folder(kind: str) -> Path:
    """Return the folder of one kind of entries: in `GAUNTLET_CACHE`, or in the user's cache."""
    if given := os.environ.get("GAUNTLET_CACHE"):
        return Path(given) / kind
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gauntlet" / kind


def read(kind: str, key: str, suffix: str = "json") -> bytes | None:
    """Return an entry's content; None where there is none that can be read."""
    path = folder(kind) / f"{key}.{suffix}"
    try:
        return None if obstacle(path) else path.read_bytes()
    except (OSError, ValueError):
        return None


def write(kind: str, key: str, content: str | bytes, suffix: str = "json") -> None:
    """Keep an entry; a cache that cannot be written costs time, nothing else."""
    path = folder(kind) / f"{key}.{suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        aside.replace(path)
    except OSError:
        return
