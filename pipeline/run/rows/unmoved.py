"""Why an attack left an image as it was."""

from __future__ import annotations

import numpy as np

from gauntlet.pipeline.attacks.loop import Trace
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.results.schema import (
    BELOW_A_LEVEL,
    NO_BUDGET,
    NO_GRADIENT,
    NO_UPDATE,
    NOWHERE,
)


def silent(trace: Trace) -> np.ndarray:
    """Return which examples had a combined gradient of zero at every update, bool (B,)."""
    if not len(trace.silent):
        return np.zeros(trace.silent.shape[1], bool)
    return np.asarray(trace.silent.all(0).numpy())


def no_gradient(attack: Attack) -> str:
    """Return what `failures` says of an example without a gradient; its other rows stay."""
    return (
        f"the surrogates' combined gradient was exactly zero at each of {attack.steps} updates: "
        "there was nothing to follow"
    )


def why_unmoved(attack: Attack, trace: Trace, linf: np.ndarray) -> list[str | None]:
    """Return why each evaluated image equals its clean one; None where it does not.

    Args:
        attack: what was done.
        trace: its record of B examples.
        linf: largest change of a pixel of each evaluated image, (B,).
    """
    without = silent(trace)
    moved = trace.linf[-1].numpy() > 0 if len(trace.linf) else np.zeros(len(linf), bool)
    asked = attack.steps == 0 and attack.foreign is None
    causes = np.select(
        [moved, np.full(len(linf), asked), np.full(len(linf), attack.epsilon == 0)],
        [BELOW_A_LEVEL, NO_UPDATE, NO_BUDGET],
        np.where(without, NO_GRADIENT, NOWHERE),
    )
    return [None if change else str(cause) for change, cause in zip(linf, causes, strict=True)]
