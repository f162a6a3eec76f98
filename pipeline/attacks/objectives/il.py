"""IL (ILA): the intermediate level attack (specification 2.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.features import FeatureObjective, distance
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.norms import divide, l2

_COEFFICIENT = 0.8


@register
class IntermediateLevel(FeatureObjective):
    """J = <f(x) - f(x_0), r>, r = f(x_0 + delta_base) - f(x_0): go on where a base attack led.

    The base attack runs on the same surrogates with the same budget; then the attack starts again
    from the clean image. ``form: flexible`` raises the angle and the length separately,
    J = <u, r> / (|u| |r|) + coefficient |u| / |r| with u = f(x) - f(x_0), where |u| = 0 counts as 1
    in the first term, so that the first step follows r. Both norms are those of one example; the
    official code takes them over the batch.
    """

    token = "il"
    paper = "Huang 2019"
    random = False
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    cost = "k (to the layer); the base attack once"
    base: str = "i"
    """Base attack, such as `i` or `di-mi`, with the parts' default options."""
    steps: int = Field(10, ge=0)
    """Updates of the base attack."""
    form: Literal["projection", "flexible"] = "projection"
    """What is raised."""
    coefficient: float | None = Field(None, ge=0)
    """Weight of the length, 0.8 by default; only with `form: flexible`. The official code has 0.8
    for ImageNet, 5 for CIFAR-10."""

    @model_validator(mode="after")
    def _used(self) -> IntermediateLevel:
        if self.form == "projection" and self.coefficient is not None:
            raise ValueError("coefficient has an effect only with `form: flexible`")
        return self

    def guide(self) -> Mapping[str, object]:
        """Return the fields in which the base attack differs from the attack itself."""
        return {"base": self.base, "steps": self.steps}

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return ``clean``, f(x_0), and ``reference``, r, both (B, F)."""
        assert batch.guide is not None  # the loop runs the base attack first
        with torch.no_grad():
            clean = model.features(batch.images, self.layer)
            return {"clean": clean, "reference": model.features(batch.guide, self.layer) - clean}

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield J of each row, (R,)."""
        features = forward.features(points, self.layer)
        moved = features - known["clean"]
        reference = known["reference"]
        if self.form == "projection":
            yield (moved * reference).sum(1)
            return
        length = distance(features, known["clean"])
        unit = divide(reference, l2(reference))
        angle = (moved * unit).sum(1) / torch.where(length > 0, length, 1.0)
        weight = _COEFFICIENT if self.coefficient is None else self.coefficient
        yield angle + weight * divide(length, l2(reference))
