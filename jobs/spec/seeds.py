"""The attacks of a job under several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.models.model_spec import ModelSpec


def under_seeds(
    attacks: Sequence[Attack], surrogates: Sequence[ModelSpec], seeds: Sequence[int]
) -> tuple[Attack, ...]:
    """Return every attack, followed by itself under the further seeds where it draws anything.

    Args:
        attacks: as the job lists them.
        surrogates: the job's: one behind a random defence draws in every attack on it.
        seeds: the first is the run's.
    """
    found: list[Attack] = []
    for attack in attacks:
        used = [spec for spec in surrogates if spec.name in (attack.surrogates or (spec.name,))]
        drawn = any(spec.defence is not None and spec.defence.randomised for spec in used)
        found.append(attack)
        if attack.random or drawn:
            found += [attack.model_copy(update={"seed": seed}) for seed in seeds[1:]]
    return tuple(found)
