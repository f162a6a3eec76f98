"""Utilities v(S): what a coalition of perturbation units is worth (specification 3.1).

All of them are the attacker's: larger is better for the goal at hand. They are computed in float64
from the model's outputs, because an interaction is a small difference of large values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.cross_entropy import cross_entropy

UtilityName = Literal["loss", "margin", "margin-fixed", "similarity"]
UtilityChoice = Literal["auto", "loss", "margin", "margin-fixed", "similarity"]


class Utility(ABC):
    """The utility of every example of a batch, with what it knows of each of them."""

    @abstractmethod
    def __call__(self, outputs: Tensor, examples: Tensor) -> Tensor:
        """Return v of each row, float64 (R,).

        Args:
            outputs: the model's answers at x + delta^(S), (R, C) logits or (R, D) embeddings.
            examples: the example that each row belongs to, int64 (R,), on the outputs' device.
        """


def resolve(name: UtilityChoice, goal: Goal) -> UtilityName:
    """Return the utility that ``name`` stands for; ``auto`` is the task's own.

    ``auto`` is ``loss`` for classification (interaction paper, Eq. 3) and ``similarity`` for
    verification.

    Raises:
        ValueError: when the goal's task does not have this utility, or nobody knows it.
    """
    if name not in get_args(UtilityChoice):
        raise ValueError(f"unknown utility {name!r}; known: {', '.join(get_args(UtilityChoice))}")
    verification = goal.task is Task.VERIFICATION
    if name == "auto":
        return "similarity" if verification else "loss"
    if verification and name != "similarity":
        raise ValueError(
            f"utility {name!r} needs classes, but goal {goal.value!r} compares two faces; "
            "use 'similarity'"
        )
    if not verification and name == "similarity":
        raise ValueError(
            f"utility 'similarity' needs a reference image, but goal {goal.value!r} has classes; "
            "use 'loss', 'margin' or 'margin-fixed'"
        )
    return name


def build_utility(
    name: UtilityName, batch: Batch, clean: Tensor, whole: Tensor, references: Tensor | None
) -> Utility:
    """Return the utility of a batch.

    Args:
        name: which one, as ``resolve`` returns it.
        batch: the examples.
        clean: outputs at x, (B, C).
        whole: outputs at x + delta, (B, C).
        references: embeddings of the reference images, (B, D); verification only.

    Raises:
        ValueError: when a class is none of the model's.
    """
    if name == "similarity":
        assert references is not None  # the game embeds them for every verification goal
        return Similarity(clean, references, batch.goal)
    classes = _classes(batch, clean)
    match name:
        case "loss":
            return Loss(clean, classes, batch.goal)
        case "margin":
            return Margin(classes, batch.goal)
        case "margin-fixed":
            return FixedMargin(whole, classes, batch.goal)


class Loss(Utility):
    """v(S) = J(x + delta^(S)) - J(x), J = CE untargeted and -CE of the wanted class targeted.

    Source: interaction paper, Eq. 3.
    """

    def __init__(self, clean: Tensor, classes: Tensor, goal: Goal) -> None:
        self.classes = classes
        self.sign = -1.0 if goal is Goal.TARGETED else 1.0
        self.clean = self._objective(clean, classes)

    def __call__(self, outputs: Tensor, examples: Tensor) -> Tensor:
        """Return v of each row, float64 (R,)."""
        return self._objective(outputs, self.classes[examples]) - self.clean[examples]

    def _objective(self, outputs: Tensor, classes: Tensor) -> Tensor:
        return self.sign * cross_entropy(outputs.double(), classes)


class Margin(Utility):
    """v(S) = max_{y' != y} h_{y'} - h_y at x + delta^(S), the maximum taken anew for every S.

    Targeted: h_{y_t} - max_{y' != y_t} h_{y'}. Source: interaction paper, Figure 3.
    """

    def __init__(self, classes: Tensor, goal: Goal) -> None:
        self.classes = classes
        self.sign = -1.0 if goal is Goal.TARGETED else 1.0

    def __call__(self, outputs: Tensor, examples: Tensor) -> Tensor:
        """Return v of each row, float64 (R,)."""
        logits, own = outputs.double(), self.classes[examples, None]
        return self.sign * (_without(logits, own).amax(1) - logits.gather(1, own)[:, 0])


class FixedMargin(Utility):
    """v(S) = h_o - h_y with o = argmax_{y' != y} h_{y'}(x + delta), the same o for every S.

    Targeted: h_{y_t} - h_o. Source: the interaction paper's code (specification 2.8).
    """

    def __init__(self, whole: Tensor, classes: Tensor, goal: Goal) -> None:
        self.classes = classes
        self.others = _without(whole.double(), classes[:, None]).argmax(1)
        self.sign = -1.0 if goal is Goal.TARGETED else 1.0

    def __call__(self, outputs: Tensor, examples: Tensor) -> Tensor:
        """Return v of each row, float64 (R,)."""
        pair = torch.stack([self.others[examples], self.classes[examples]], 1)
        other, own = outputs.double().gather(1, pair).unbind(1)
        return self.sign * (other - own)


class Similarity(Utility):
    """v(S) = change of the cosine with the reference from x to x + delta^(S).

    Its sign follows the goal: raised to impersonate, lowered to dodge.
    """

    def __init__(self, clean: Tensor, references: Tensor, goal: Goal) -> None:
        self.references = references.double()
        self.sign = 1.0 if goal is Goal.IMPERSONATION else -1.0
        self.clean = F.cosine_similarity(clean.double(), self.references)

    def __call__(self, outputs: Tensor, examples: Tensor) -> Tensor:
        """Return v of each row, float64 (R,)."""
        cosine = F.cosine_similarity(outputs.double(), self.references[examples])
        return self.sign * (cosine - self.clean[examples])


def _classes(batch: Batch, outputs: Tensor) -> Tensor:
    """Return the class that the goal is about, int64 (B,), on the outputs' device."""
    classes = batch.wanted if batch.goal is Goal.TARGETED else batch.labels
    assert classes is not None  # Batch checks that its goal has what it needs
    count = outputs.shape[1]
    if count < 2:
        raise ValueError(f"a classification utility needs at least two classes, got {count}")
    classes = classes.to(outputs.device)
    wrong = ((classes < 0) | (classes >= count)).nonzero()[:, 0].tolist()
    if wrong:
        raise ValueError(
            f"example {batch.ids[wrong[0]]!r} has class {int(classes[wrong[0]])}, but the model "
            f"knows classes 0 to {count - 1}"
        )
    return classes


def _without(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the logits with each row's class (R, 1) barred."""
    return logits.scatter(1, classes, -torch.inf)
