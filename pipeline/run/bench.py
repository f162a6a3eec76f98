"""What judging needs to know, whether a plan says it or a person's call does."""

from __future__ import annotations

from typing import Protocol

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.run.plan import Evaluate, TaskSpec


class Bench(Protocol):
    """Whom an attack is judged by, and under which seed: a plan is one."""

    @property
    def task(self) -> TaskSpec:
        """What the models do and what the attacker wants."""

    @property
    def targets(self) -> tuple[ModelSpec, ...]:
        """Models that judge the attacked images."""

    @property
    def evaluate(self) -> Evaluate:
        """What is evaluated."""

    @property
    def seed(self) -> int:
        """Keys what is drawn of clean images."""

    def seed_of(self, attack: Attack) -> int:
        """Return the seed that keys an attack's draws, and those of targets on its images."""

    def surrogates_of(self, attack: Attack) -> tuple[str, ...]:
        """Return the names of the surrogates that an attack uses."""
