"""How each network of the zoo is trained: every setting, nowhere else."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gauntlet.pipeline.problems import BadInput, Problem, suggest
from gauntlet.pipeline.spec import Probability, Quantity, Spec

HeadName = Literal["softmax", "cosface", "arcface", "sphereface"]


Role = Literal["surrogate", "target", "adversarial"]


class Adversarial(Spec):
    """Adversarial training (`training/zoo/adversary.py` says how it is adapted to embeddings)."""

    method: Literal["pgd-at", "trades"]
    """Train on adversarial images alone, or on clean ones with a distance to adversarial ones."""
    inner: Literal["loss", "distance"] = "distance"
    """What the inner steps raise: the head's loss, or the distance to the clean embedding."""
    epsilon: Quantity = Field(8 / 255, gt=0)
    """l_inf radius of the inner steps, in [0, 1] units."""
    steps: int = Field(2, ge=1)
    """Inner steps from a random start."""
    step_size: Quantity = Field(6 / 255, gt=0)
    """Size of an inner step, in [0, 1] units."""
    beta: float = Field(6.0, gt=0)
    """trades: weight of the distance."""

    def __str__(self) -> str:
        name = {"pgd-at": "PGD-AT", "trades": "TRADES"}[self.method]
        return f"{name}, l_inf {self.epsilon * 255:g}/255"

    @model_validator(mode="after")
    def _sound(self) -> Adversarial:
        if self.method == "trades" and self.inner != "distance":
            raise ValueError("trades raises the distance that it penalises: inner must say so")
        return self


class Recipe(Spec):
    """One network of the zoo."""

    name: str
    """As in `zoo/NAME`."""
    role: Role
    """What the bundled jobs use it as."""
    architecture: str
    """One of `gauntlet.pipeline.models.architectures`."""
    head: HeadName = "cosface"
    """What turns embeddings into a loss."""
    scale: float = Field(16.0, gt=0)
    """s of a head on cosines."""
    margin: float = Field(0.2, ge=0)
    """m of a head on cosines."""
    ramp: Probability = 0.3
    """Share of the training over which the margin grows from nothing."""
    seed: int
    """Keys initial weights and all draws."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with Nesterov momentum 0.9."""
    lr: float = Field(6e-3, gt=0)
    """Peak of the schedule: a linear rise over `warm_up`, then half a cosine down to zero."""
    warm_up: Probability = 0.1
    """Share of the training over which the learning rate rises."""
    weight_decay: float = Field(0.05, ge=0)
    """Of the network's and the head's matrices, not of biases, norms and slopes."""
    clip: float = Field(5.0, gt=0)
    """Longest gradient, as an l2 norm over all parameters."""
    images: int = Field(480_000, ge=1)
    """Training images seen, repetitions counted."""
    batch: int = Field(64, ge=2)
    """Images of one update."""
    identities: int = Field(2000, ge=2)
    """People trained on."""
    shots: int = Field(20, ge=2)
    """Pictures of each."""
    shift: int = Field(2, ge=0)
    """Augmentation: most pixels by which a picture is moved, either way."""
    flip: bool = False
    """Augmentation: mirror every second picture. The rendered people are not symmetric."""
    twin: str | None = None
    """Network whose weights an adversarial training starts from."""
    adversarial: Adversarial | None = None
    """Adversarial training, if any."""

    @property
    def steps(self) -> int:
        """Number of updates."""
        return max(1, self.images // self.batch)

    @model_validator(mode="after")
    def _sound(self) -> Recipe:
        if (self.role == "adversarial") != (self.adversarial is not None) or (
            self.adversarial is not None
        ) != (self.twin is not None):
            raise ValueError("role adversarial, a twin and adversarial settings go together")
        return self


def _recipe(name: str, role: Role, architecture: str, seed: int, **settings: object) -> Recipe:
    return Recipe.model_validate(
        {"name": name, "role": role, "architecture": architecture, "seed": seed, **settings}
    )


_NORMAL = (
    _recipe("s1", "surrogate", "zoo-vgg", 1, head="cosface", images=540_000),
    _recipe("s2", "surrogate", "zoo-resnet", 2, head="arcface", images=540_000),
    _recipe("s3", "surrogate", "zoo-mobile", 3, head="cosface", images=420_000),
    _recipe("s4", "surrogate", "zoo-densenet", 4, head="sphereface", margin=1.3),
    _recipe("s5", "surrogate", "zoo-vit", 5, head="cosface", images=400_000, lr=3e-3),
    _recipe("n1", "target", "zoo-se-resnet", 11, head="arcface", images=540_000),
    _recipe("n2", "target", "zoo-repvgg", 12, head="cosface", images=540_000),
    _recipe("n3", "target", "zoo-iresnet", 13, head="arcface"),
    _recipe("n4", "target", "zoo-resnext", 14, head="sphereface", margin=1.3),
    _recipe("n5", "target", "zoo-inception-resnet", 15, head="cosface"),
    _recipe("n6", "target", "zoo-shufflenet", 16, head="arcface", images=420_000),
    _recipe("n7", "target", "zoo-nfnet", 17, head="cosface", images=540_000),
    _recipe("n8", "target", "zoo-ghostnet", 18, head="cosface", images=420_000),
    _recipe("n9", "target", "zoo-efficientnet", 19, head="cosface", images=560_000),
    _recipe("n10", "target", "zoo-mixer", 20, head="cosface", images=400_000, lr=3e-3),
)


def _adversarial(name: str, twin: str, seed: int, rate: float, beta: float) -> Recipe:
    """Return the recipe of a twin's architecture and head with TRADES.

    Args:
        name: the network's.
        twin: where it starts.
        seed: keys all draws.
        rate: peak learning rate as a share of the twin's.
        beta: weight of the distance.
    """
    normal = next(recipe for recipe in _NORMAL if recipe.name == twin)
    return _recipe(
        name,
        "adversarial",
        normal.architecture,
        seed,
        head=normal.head,
        margin=normal.margin,
        lr=normal.lr * rate,
        warm_up=0.05,
        ramp=0.0,
        images=180_000,
        twin=twin,
        adversarial={"method": "trades", "beta": beta},
    )


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        *_NORMAL,
        _adversarial("a1", "n1", 21, rate=1.0, beta=16),
        _adversarial("a2", "n2", 22, rate=0.5, beta=16),
        _adversarial("a3", "n3", 23, rate=1.0, beta=16),
        _adversarial("a4", "n4", 24, rate=1.0, beta=16),
        _adversarial("a5", "n5", 25, rate=1.0, beta=16),
        _adversarial("a6", "n6", 26, rate=1.0, beta=16),
        _adversarial("a7", "n7", 27, rate=1.0, beta=16),
    )
}
"""Every network of the zoo by name, in the order of training."""


def find_recipe(name: str) -> Recipe:
    """Return the recipe of a network of the zoo.

    Raises:
        BadInput: when there is none of that name.
    """
    if name not in RECIPES:
        raise BadInput(Problem("zoo", suggest(name, list(RECIPES), "network of the zoo")))
    return RECIPES[name]
