"""A manifest without a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.results.manifest import AttackRecord, Manifest


def manifest(labels: Sequence[str] = ("i",), **more: Any) -> Manifest:
    """What a run of attacks with these labels says of itself before its first stage."""
    summary = Attack().summary()
    attacks = [AttackRecord.model_validate(summary | {"attack": label}) for label in labels]
    said: dict[str, Any] = {
        "started": "2026-01-01T00:00:00+0000",
        "name": "made-up",
        "seed": 0,
        "task": {"kind": "classification", "goal": "untargeted"},
        "evaluate": {"quantize": True},
        "resources": {},
        "placement": "in-process on cpu (asked for)",
        "attacks": attacks,
        "models": {},
        "software": {},
    }
    return Manifest(**said | more)
