"""AA: the activation attack (specification 2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.features import FeatureObjective, distance
from gauntlet.pipeline.attacks.objectives.objective import towards
from gauntlet.pipeline.attacks.part import Choice, Place, register
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.draws import Draws


@register
class ActivationAttack(FeatureObjective):
    """J = -|f(x) - f(x_tgt)|_2: the features of an image of the wanted class or person.

    x_tgt is the example's reference: the second image of a pair, or in targeted classification an
    image of the wanted class. Dodging raises the distance from the reference instead, untargeted
    attacks that from the clean image, where its gradient is 0/0 (taken as 0): they need the random
    start of ``pgd``. The paper's base is ``mi`` with mu = 1, epsilon 0.07, ten updates.
    """

    token = "aa"
    paper = "Inkawhich 2019"
    random = False
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    needs = "targeted: a gallery in data; untargeted: pgd"

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse an untargeted attack from the clean image."""
        if goal is Goal.UNTARGETED and not choice.has(Place.START):
            return "untargeted 'aa' has no gradient at the clean image: add 'pgd' to the base"
        return None

    def needs_references(self, goal: Goal) -> bool:
        """Pairs bring their own; a wanted class needs one of its images."""
        return goal is Goal.TARGETED

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return ``features``, those to come close to or to leave, (B, F).

        Raises:
            ValueError: when a targeted batch has no references.
        """
        images = batch.images if batch.goal is Goal.UNTARGETED else batch.references
        if images is None:
            raise ValueError(
                "'aa' needs an image of each example's wanted class: `references` of the batch, "
                "`data.references: gallery` in a job"
            )
        with torch.no_grad():
            return {"features": model.features(images, self.layer)}

    def stationary(self, batch: Batch) -> Tensor | None:
        """Return the images that are to leave their own features: the distance is 0, its minimum.

        Towards its own features an image is where it wants to be, and stays.
        """
        return batch.own_reference if batch.goal is Goal.DODGING else None

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield J of each row, (R,)."""
        features = forward.features(points, self.layer)
        yield -towards(goal) * distance(features, known["features"])
