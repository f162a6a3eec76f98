"""FI (FIA): feature importance (specification 2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.features import FeatureObjective
from gauntlet.pipeline.attacks.objectives.objective import towards
from gauntlet.pipeline.attacks.part import Choice, register
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.cross_entropy import log_softmax
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.norms import divide, l2
from gauntlet.pipeline.spec import Probability

_ROWS = 128
"""Most masked images in one pass, unless the batch itself is larger: bounds memory."""


@register
class FeatureImportance(FeatureObjective):
    """J = -<Delta, f(x)>, Delta = sum_n d l(x * M_n) / d f over random masks, |Delta|_2 = 1.

    l is what the attack wants to lower: the logit of the true class, or cos(f, f_ref) in dodging.
    Towards a class or person l is that class's logit or that person's cosine, and +<Delta, f(x)> is
    raised. Masked entries, pixel and channel, are black. With the loss in the place of the logit,
    as one restatement has it, the attack would lower the loss. Delta is found once, at the clean
    image and without the query's views. The paper's base is ``mi`` with mu = 1.
    """

    token = "fi"
    paper = "Wang 2021"
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    drawn: ClassVar[bool] = True
    cost = "k (to the layer); masks k once"
    masks: int = Field(30, ge=1)
    """Number of masks."""
    keep: Probability = 0.7
    """Probability that an entry is kept; 0.9 for robust surrogates."""
    of: Literal["logit", "probability"] = "logit"
    """Classification: what is differentiated; the softmax probability has vanishing gradients on
    images that the surrogate is sure of."""

    @property
    def passes_before(self) -> float:
        """One for each mask."""
        return float(self.masks)

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse a probability where there are no classes."""
        if goal is not None and goal.task is Task.VERIFICATION and self.of == "probability":
            return "fi: faces have no 'probability'; what is differentiated is the cosine"
        return None

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return ``weights``, Delta, (B, F)."""
        wanted = self._wanted(model, batch)
        total: Tensor | None = None
        group = max(1, _ROWS // max(1, len(batch)))
        for first in range(0, self.masks, group):
            chosen = range(first, min(first + group, self.masks))
            masked = torch.cat([self._masked(batch.images, draws, n) for n in chosen])
            # Frozen networks make no graph unless something before the layer needs a gradient.
            masked.requires_grad_()
            with torch.enable_grad():
                features, outputs = model.tapped(masked, self.layer)
                tiled = wanted.repeat(len(chosen), *([1] * (wanted.ndim - 1)))
                value = self._value(outputs, tiled)
                (gradient,) = torch.autograd.grad(value.sum(), features)
            part = gradient.reshape(len(chosen), len(batch), -1).sum(0)
            total = part if total is None else total + part
        assert total is not None
        return {"weights": divide(total, l2(total))}

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield J of each row, (R,)."""
        features = forward.features(points, self.layer)
        yield towards(goal) * (known["weights"] * features).sum(1)

    def _masked(self, images: Tensor, draws: Draws, n: int) -> Tensor:
        shape = tuple(images.shape[1:])
        kept = draws.uniform(f"fi/mask/{n}", shape, device=images.device) < self.keep
        return images * kept

    def _wanted(self, model: Surrogate, batch: Batch) -> Tensor:
        """Return each example's class, int64 (B,), or its reference's unit embedding, (B, D)."""
        if batch.goal.task is Task.CLASSIFICATION:
            classes = batch.wanted if batch.goal is Goal.TARGETED else batch.labels
            assert classes is not None  # Batch checks that its goal has what it needs
            return classes
        assert batch.references is not None
        with torch.no_grad():
            return F.normalize(model(batch.references), dim=1)

    def _value(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Return l of each row, (R,)."""
        if wanted.is_floating_point():
            return (F.normalize(outputs, dim=1) * wanted).sum(1)
        scores = log_softmax(outputs).exp() if self.of == "probability" else outputs
        return scores.gather(1, wanted[:, None])[:, 0]
