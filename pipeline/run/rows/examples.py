"""The examples table: one row an adversarial image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gauntlet.pipeline.attacks.loop import Trace
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.run.plan import Evaluate
from gauntlet.pipeline.run.rows.unmoved import why_unmoved
from gauntlet.pipeline.run.showing import levels
from gauntlet.pipeline.run.steps import StepVerdicts


def example_columns(
    evaluate: Evaluate,
    identity: Mapping[str, Any],
    attack: Attack,
    trace: Trace,
    last: StepVerdicts,
    images: Tensor,
) -> dict[str, Any]:
    """Return the columns of the examples table.

    Args:
        evaluate: says whether images are kept, and how.
        identity: columns that say which attack on which B examples the rows are about.
        attack: what was done.
        trace: its record of those examples.
        last: what the targets say of the results.
        images: adversarial images, (B, 3, H, W).
    """
    stored = _stored(images, evaluate.quantize) if evaluate.images else None
    return {
        **identity,
        "linf": last.linf,
        "l2": last.l2,
        "unmoved": why_unmoved(attack, trace, last.linf),
        "height": images.shape[2] if stored else None,
        "width": images.shape[3] if stored else None,
        "dtype": ("uint8" if evaluate.quantize else "float32") if stored else None,
        "image": stored,
    }


def _stored(images: Tensor, quantized: bool) -> list[bytes]:
    wide = images.permute(0, 2, 3, 1).contiguous()
    stored = levels(wide) if quantized else wide.float()
    return [row.tobytes() for row in stored.numpy()]
