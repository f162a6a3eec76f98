"""Embeddings of galleries found before, by model, images and seed."""

from __future__ import annotations

import io

import numpy as np

from gauntlet.pipeline import user_cache
from gauntlet.pipeline.evaluation.gallery import Embeddings

_KIND = "galleries"


def load(key: str, images: int) -> Embeddings | None:
    """Return what was found under a key, (images, D); None where there is nothing sound."""
    if (content := user_cache.read(_KIND, key, "npy")) is None:
        return None
    try:
        found: Embeddings = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        return None
    sound = found.dtype == np.float32 and found.ndim == 2 and len(found) == images
    return found if sound and np.isfinite(found).all() else None


def save(key: str, embeddings: Embeddings) -> None:
    """Keep an entry; a cache that cannot be written costs time, nothing else."""
    stream = io.BytesIO()
    np.save(stream, embeddings, allow_pickle=False)
    user_cache.write(_KIND, key, stream.getvalue(), "npy")
