"""Ens: uniform fusion of the surrogates by loss, logits or probabilities (specification 2.4)."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.combine.gram import Rows, Units, mean
from gauntlet.pipeline.attacks.combine.rule import Direction, GradientRule, Rule
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.cross_entropy import log_softmax
from gauntlet.pipeline.norms import Normaliser


@register
class EnsLoss(GradientRule):
    """Fusion by loss: d = (1/k) sum_i g_i, then the sign. RGEA's "Ens"."""

    token = "ens"
    paper = "Liu 2017"
    random = False

    def combine(self, gradients: Rows) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the mean gradient and uniform weights."""
        k, examples = len(gradients), len(gradients[0])
        return mean(gradients), gradients[0].new_full((examples, k), 1.0 / k), None


@register
class EnsL2(EnsLoss):
    """Ens-l2: the direction of Ens, stepped as alpha d / l2rms(d) instead of by its sign."""

    token = "ens-l2"
    paper = "RGEA 4.2.2"
    random = False
    normalise: ClassVar[Normaliser] = "l2rms"
    unit: bool = False
    """Average unit gradients instead of raw ones (a gradient-normalised ensemble)."""

    def combine(self, gradients: Rows) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the mean of the raw or unit gradients."""
        raw, weights, fallback = super().combine(gradients)
        return Units.of(gradients).sum(weights) if self.unit else raw, weights, fallback


class FusedOutputs(Rule):
    """Fusion of outputs before the objective: cannot be written with fixed weights."""

    cost = "k (forward all, then backward all)"
    needs = "an objective on outputs, no penalty"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CLASSIFICATION})

    @property
    def fuses_outputs(self) -> bool:
        """It does."""
        return True

    @staticmethod
    @abstractmethod
    def fuse(outputs: Tensor) -> Tensor:
        """Return one model's logits (R, C) for those of all models, (k, R, C)."""

    def direction(self, points: Tensor, ask: Ask, step: Step) -> Direction:
        """Return the gradient of the objective on the fused outputs."""
        answer = ask.fused(points, self.fuse)
        k = ask.models
        return Direction(
            answer.gradient,
            answer.values[:, None].expand(-1, k),
            points.new_full((len(points), k), math.nan),
        )


@register
class EnsLogits(FusedOutputs):
    """Fusion by logits: the objective of the mean logits."""

    token = "ens-logits"
    paper = "Dong 2018"
    random = False

    @staticmethod
    def fuse(outputs: Tensor) -> Tensor:
        """Return the mean logits, (R, C)."""
        return outputs.mean(0)


@register
class EnsProbabilities(FusedOutputs):
    """Fusion by probabilities: the objective of the mean class probabilities.

    The logarithm of the mean softmax is a valid vector of logits for it, so that the cross-entropy
    becomes -log of the mean probability.
    """

    token = "ens-probabilities"
    paper = "Liu 2017"
    random = False

    @staticmethod
    def fuse(outputs: Tensor) -> Tensor:
        """Return the logarithm of the mean probabilities, (R, C)."""
        return torch.logsumexp(log_softmax(outputs), dim=0) - math.log(len(outputs))
