"""Objectives on a model's outputs (specification 0.2). All of them are maximised."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.objective import Objective, towards
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.surrogate import Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.cross_entropy import cross_entropy
from gauntlet.pipeline.draws import Draws


class ClassObjective(Objective):
    """An objective on logits and one class per example: the true one, or the wanted one."""

    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CLASSIFICATION})

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return the class that the goal is about, int64 (B,), as ``classes``."""
        classes = batch.wanted if batch.goal is Goal.TARGETED else batch.labels
        assert classes is not None  # Batch checks that its goal has what it needs
        return {"classes": classes}


@register
class CrossEntropy(ClassObjective):
    """J = CE(h(x), y) untargeted, -CE(h(x), y_t) targeted, with an exact gradient.

    The value is every library's, the gradient is not: softmax minus one-hot, which others follow,
    is rounding noise on an image that a network is sure of (1 - p_y below 1e-7 in float32). Here
    CE = softplus(logsumexp over the other classes - h_y), which keeps its digits. Rules that divide
    each gradient by its length (rgea, mgda, ens-l2 with `unit`, torchjd) gain most.
    """

    token = "cross-entropy"
    paper = "Goodfellow 2015"
    random = False

    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Return J of each row, (R,)."""
        return -towards(goal) * cross_entropy(outputs, known["classes"])


@register
class Logit(ClassObjective):
    """J = -h_y(x) untargeted, h_{y_t}(x) targeted."""

    token = "logit"
    paper = "Zhao 2021"
    random = False

    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Return J of each row, (R,)."""
        return towards(goal) * outputs.gather(1, known["classes"][:, None])[:, 0]


@register
class Margin(ClassObjective):
    """J = max_{y' != y} h_{y'} - h_y untargeted, h_{y_t} - max_{y' != y_t} h_{y'} targeted."""

    token = "margin"
    paper = "Carlini 2017"
    random = False

    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Return J of each row, (R,)."""
        own = outputs.gather(1, known["classes"][:, None])[:, 0]
        others = outputs.scatter(1, known["classes"][:, None], -torch.inf).amax(1)
        return towards(goal) * (own - others)


@register
class Cosine(Objective):
    """J = cos(f(x), f(x_ref)): raised to impersonate, lowered to dodge.

    Each model embeds the reference through its own adapter, once per batch.
    """

    token = "cosine"
    paper = "RGEA, Eq. 1"
    random = False
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.VERIFICATION})

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return the unit embeddings of the references, (B, D), as ``reference``."""
        assert batch.references is not None
        with torch.no_grad():
            return {"reference": F.normalize(model(batch.references), dim=1)}

    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Return J of each row, (R,)."""
        return towards(goal) * (F.normalize(outputs, dim=1) * known["reference"]).sum(1)

    def stationary(self, batch: Batch) -> Tensor | None:
        """Return the images that are their own reference: their cosine is 1, its maximum."""
        return batch.own_reference
