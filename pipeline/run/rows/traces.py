"""The traces table: one row an image x update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gauntlet.pipeline.attacks.loop import Trace


def trace_columns(identity: Mapping[str, Any], trace: Trace) -> dict[str, Any]:
    """Return the columns of the traces table, update by update; none for an attack without any.

    Args:
        identity: columns that say which attack on which B examples the rows are about.
        trace: its record of those examples.
    """
    ids = identity["example"]
    steps, k = len(trace.linf), trace.values.shape[2]
    if not steps:
        return {}
    return {
        "example": list(ids) * steps,
        "attack": identity["attack"],
        "seed": identity["seed"],
        "step": np.repeat(np.arange(1, steps + 1), len(ids)),
        "losses": trace.values.double().reshape(-1, k).tolist(),
        "weights": trace.weights.double().reshape(-1, k).tolist(),
        "linf": (255 * trace.linf.double()).flatten().numpy(),
        "l2": (255 * trace.l2rms.double()).flatten().numpy(),
        "fallback": trace.fallback.flatten().numpy(),
    }
