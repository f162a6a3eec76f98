"""How surrogates are trained and searched: every setting with its default and its meaning.

The command line's options are made from these classes, and its help should not wait for torch:
nothing here imports it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gauntlet.pipeline.spec import Quantity, Spec


class FineTuning(Spec):
    """How weights are changed: updates over keyed batches, the rate falling as half a cosine."""

    epochs: int = Field(10, ge=1)
    """Passes over the training images."""
    batch: int = Field(64, ge=1)
    """Most images in an update; the updates of an epoch are of nearly the same size."""
    optimiser: Literal["sgd", "adamw"] = "sgd"
    """What does the updates; `sgd` has momentum 0.9."""
    rate: Quantity = Field(0.01, gt=0)
    """Learning rate of the first update."""
    weight_decay: Quantity = Field(5e-4, ge=0)
    """Decay of the weights; biases and the parameters of batch norm are left alone."""
    clip: Quantity = Field(1.0, gt=0)
    """Greatest Euclidean norm of an update's gradient; a longer one is shortened."""
    flips: bool = True
    """Whether half of the images, drawn anew in each epoch, are mirrored."""
    validation: float = Field(0.2, gt=0, lt=1)
    """Share of the images that are only judged by."""
    seed: int = 0
    """Keys the held-out images, batches, flips and every other draw."""


class HardenSettings(FineTuning):
    """How a surrogate is hardened."""

    norm: Literal["linf", "l2"] = "linf"
    """Norm of the ball that the inner maximisation stays in."""
    epsilon: Quantity = Field(1 / 255, gt=0)
    """Radius of the ball in [0, 1] units; l2: the Euclidean norm over all entries of one image."""
    steps: int = Field(3, ge=1)
    """Steps of the inner maximisation, from a random start in the ball."""
    step_size: Quantity | None = Field(None, gt=0)
    """Length of a step. Default 2.5 epsilon / steps."""
    batch_norm: Literal["frozen", "updated"] = "frozen"
    """Whether batch norm keeps the original's running mean and variance, or normalises by those of
    the adversarial batch and follows them. Its weights and biases are trained either way."""
    judge_steps: int = Field(20, ge=1)
    """Steps of the PGD that robust accuracy is measured with."""


class AlignSettings(FineTuning):
    """How a surrogate is aligned."""

    optimiser: Literal["sgd", "adamw"] = "adamw"
    """What does the updates; `sgd` has momentum 0.9."""
    rate: Quantity = Field(3e-4, gt=0)
    """Learning rate of the first update."""
    beta: Quantity = Field(20.0, gt=0)
    """Sharpness of the Softplus that stands for ReLU while the criterion is climbed: a kink has no
    curvature. The weights go back into the original network."""
    probes: int = Field(1, ge=1)
    """Rademacher vectors in each estimate of a trace (Hutchinson), drawn anew for every update."""
    weight: Quantity = Field(0.3, ge=0)
    """Weight w of the criterion, relative to its mean size before the training."""
    drop: float = Field(0.05, ge=0, le=1)
    """How much clean accuracy on the held-out images may be lost."""
    epsilon: Quantity = Field(1 / 255, gt=0)
    """Radius of the linf ball that robust accuracy is reported at, in [0, 1] units."""
    judge_probes: int = Field(8, ge=1)
    """Rademacher vectors that the criterion is reported with; the same before and after."""
    judge_steps: int = Field(20, ge=1)
    """Steps of the PGD that robust accuracy is measured with."""


class SearchSettings(Spec):
    """How the search is done: half of the trials anywhere, half around the best one so far."""

    trials: int = Field(60, ge=1)
    """Settings that are tried, the plain network not counted."""
    probes: int = Field(4, ge=1)
    """Rademacher vectors in each estimate of a trace; all trials see the same."""
    least_beta: float = Field(5.0, gt=0)
    """Smallest sharpness; drawn evenly in its logarithm."""
    most_beta: float = Field(100.0, gt=0)
    """Greatest sharpness."""
    least_lambda: float = Field(0.05, ge=0, le=1)
    """Smallest branch factor; the greatest is 1."""
    drop: float = Field(0.05, ge=0, le=1)
    """How much clean accuracy a setting may lose."""
    rows: int = Field(32, ge=1)
    """Images in one pass."""
    seed: int = 0
    """Keys trials and probes."""
