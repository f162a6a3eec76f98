"""What a run needs of the machinery that holds the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from gauntlet.pipeline.attacks.loop import Attacked
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.interactions import Interactions
from gauntlet.pipeline.run.look import Look
from gauntlet.pipeline.run.probe.sample import ImageSample, Sampled
from gauntlet.pipeline.run.steps import StepAnswers, Watch


@dataclass(frozen=True)
class Observed(Attacked):
    """The result of one attack on one batch, with what the targets said on the way.

    Attributes:
        steps: verdicts on the iterates that were watched, in order; not on the result.
    """

    steps: tuple[StepAnswers, ...] = ()


class Engine(Protocol):
    """Holds surrogates and targets, somewhere; safe to call from ``lanes`` threads at a time."""

    @property
    def lanes(self) -> int:
        """How many units of work should be in flight."""

    @property
    def description(self) -> str:
        """What was chosen, and why."""

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name: ``surrogate/NAME`` and ``target/NAME``."""

    @property
    def losses(self) -> tuple[type[Exception], ...]:
        """Errors by which a call ends whose worker was lost, whatever it was asked."""

    def attack(self, attack: Attack, batch: Batch, watch: Watch | None = None) -> Observed:
        """Attack a batch; tensors of the result are on the CPU.

        Args:
            attack: what to do.
            batch: the examples.
            watch: iterates that the targets judge while the attack goes on. At most
                `gauntlet.pipeline.run.steps.IN_FLIGHT` of them exist at a time.
        """

    def interactions(
        self, attack: Attack, batch: Batch, images: Tensor, spec: InteractionSpec
    ) -> dict[str, Interactions]:
        """Measure interactions on each of the attack's surrogates, by name.

        Args:
            attack: what made the images.
            batch: the clean examples.
            images: adversarial images, (B, 3, H, W).
            spec: what to measure.
        """

    def outputs(self, models: Sequence[str], look: Look) -> dict[str, np.ndarray]:
        """Return the outputs of targets (or surrogates) by name, each (repeats, B, C), float32."""

    def sampled(
        self, models: Sequence[str], sample: ImageSample, readings: Sequence[str]
    ) -> Sampled:
        """Return what models say of some images, which are decoded by a worker that has models.

        Args:
            models: targets and surrogates by name.
            sample: the images.
            readings: of the models' inputs, names in `gauntlet.pipeline.run.probe.inputs.INPUTS`.
        """

    def close(self) -> None:
        """Release the models."""
