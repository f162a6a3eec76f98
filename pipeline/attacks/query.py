"""What travels to a model, and what comes back (ARCHITECTURE section 2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from pipeline.attacks.part import Part, Place
from pipeline.batch import Batch, Goal, Task
from pipeline.draws import Draws

Known = Mapping[str, Tensor]
"""What an objective knows of each example: every tensor has one row an example."""


class Surrogate(Protocol):
    """A model under the query's surgeries.

    Layers are named by module path; None is the default layer of the network's family.
    """

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def fingerprint(self) -> str:
        """Hash of the model's weights and preprocessing; surgeries do not change it."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits or embeddings, (R, C)."""

    def features(self, images: Tensor, layer: str | None) -> Tensor:
        """Return a layer's activation, flattened per example, (R, F); the forward stops there."""

    def tapped(self, images: Tensor, layer: str | None) -> tuple[Tensor, Tensor]:
        """Return a layer's activation (R, F) and the outputs (R, C) computed from it."""


class Forward(Protocol):
    """A surrogate behind the query's views, for one pass: some view copies of each point.

    Attributes:
        rows: points of the pass: asked rows x view copies in it, copies outermost.
        room: variants of each point that may go into one call, at least 1: bounds memory.
        deterministic: whether equal images always get equal answers.
        first: whether this is the question's first pass.
        copies: view copies of the whole query, over which answers are averaged.
    """

    rows: int
    room: int
    deterministic: bool
    first: bool
    copies: int

    @property
    def draws(self) -> Draws:
        """One random stream per row, keyed by step, model and view copy."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the outputs on V variants of each point, with one random draw for all variants.

        Args:
            images: (V * rows, 3, H, W) in canonical space, variants outermost.
        """

    def features(self, images: Tensor, layer: str | None) -> Tensor:
        """Return a layer's activation instead, (V * rows, F)."""

    def bare(self, images: Tensor) -> Tensor:
        """Return the outputs on V variants of each asked point without the views."""


class View(Part):
    """Changes the inputs that a model sees; the gradient flows through it."""

    place: ClassVar[Place] = Place.VIEW
    order: ClassVar[int] = 0
    """Views act in ascending order: noise, then scaling, then geometry."""

    @property
    def copies(self) -> int:
        """How many views of each image there are; their gradients are averaged."""
        return 1

    @property
    def shared_draw(self) -> bool:
        """Whether all surrogates see the same random draw of a step."""
        return False

    @abstractmethod
    def apply(self, images: Tensor, copy: tuple[int, ...], draws: Draws) -> Tensor:
        """Return one view of the images.

        Args:
            images: (B, 3, H, W) in [0, 1].
            copy: index of the copy in each view up to and including this one.
            draws: one random stream per row; the copy belongs into every draw's purpose.
        """


class Filter(Part):
    """Changes one model's gradient before it is combined with others."""

    place: ClassVar[Place] = Place.FILTER

    @abstractmethod
    def apply(self, gradient: Tensor) -> Tensor:
        """Return the filtered gradient, (B, 3, H, W)."""


class Surgery(Part):
    """Changes how a surrogate computes or back-propagates, by rewriting its graph."""

    place: ClassVar[Place] = Place.SURGERY
    order: ClassVar[int] = 0
    """Surgeries are done in ascending order."""

    @property
    def randomised(self) -> bool:
        """Whether two forward passes of one image differ; see `pipeline.models.streams`."""
        return False

    @property
    def linear(self) -> bool:
        """Whether what goes back is linear in the derivative of the outputs, as the chain rule."""
        return True

    @abstractmethod
    def rewrite(self, network: nn.Module) -> nn.Module:
        """Return a new network that shares the parameters; the argument stays as it is.

        Args:
            network: takes preprocessed images; perhaps rewritten before.

        Raises:
            ValueError: when the network cannot be traced, or has nothing to rewrite.
        """


class Objective(Part):
    """The scalar of each example that the attack raises: always maximised (METHODS 0.2)."""

    place: ClassVar[Place] = Place.OBJECTIVE
    tasks: ClassVar[frozenset[Task]] = frozenset()
    fusable: ClassVar[bool] = True
    """Whether it is a function of the outputs alone, so that outputs of models can be fused."""
    drawn: ClassVar[bool] = False
    """Whether `prepare` draws random numbers: its result then belongs to one attack."""

    @abstractmethod
    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return what the objective needs to know of each example, once per batch and model.

        Args:
            model: the surrogate.
            batch: B examples.
            draws: one random stream per example.
        """

    @abstractmethod
    def of_outputs(self, outputs: Tensor, known: Known, goal: Goal) -> Tensor:
        """Return J of each row, (R,), from the model's outputs (R, C)."""

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield pieces, (rows,) each, whose sum is J.

        Each piece is differentiated, and its graph freed, before the next is asked for.

        Args:
            points: (rows, 3, H, W) in canonical space.
            known: what `prepare` returned, for each row.
            goal: what the attacker wants.
            forward: asks the surrogate.
        """
        yield self.of_outputs(forward(points), known, goal)

    def stationary(self, batch: Batch) -> Tensor | None:
        """Return the examples at whose own image J has no gradient, bool (B,), or None for none.

        Known beforehand, because what floating point leaves of the gradient looks like one.
        """
        return None

    def guide(self) -> Mapping[str, object] | None:
        """Return fields of an attack whose result `prepare` needs as ``batch.guide``, or None."""
        return None


def towards(goal: Goal) -> float:
    """Return +1 when the goal is to agree with what is known of an example, -1 to disagree."""
    return 1.0 if goal in (Goal.TARGETED, Goal.IMPERSONATION) else -1.0


class Penalty(Part):
    """Wraps the objective: what it yields is the whole that the attack raises."""

    place: ClassVar[Place] = Place.PENALTY
    twice: ClassVar[bool] = False
    """Whether it differentiates a surrogate twice, which float16 cannot."""

    @abstractmethod
    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return what the penalty needs to know of each example beside what the objective does."""

    @abstractmethod
    def terms(
        self,
        points: Tensor,
        known: Known,
        goal: Goal,
        forward: Forward,
        objective: Objective,
        draws: Draws,
    ) -> Iterator[Tensor]:
        """Yield pieces, (rows,) each, whose sum is the penalised objective.

        Args:
            points: (rows, 3, H, W).
            known: what the objective and the penalty know, for each row.
            goal: what the attacker wants.
            forward: asks the surrogate.
            objective: what is penalised.
            draws: one random stream per row, keyed by step, model and view copy.
        """


@dataclass(frozen=True)
class Query:
    """What is asked of a model at a point: views, objective, gradient filters."""

    objective: Objective
    views: tuple[View, ...] = ()
    filters: tuple[Filter, ...] = ()
    surgeries: tuple[Surgery, ...] = ()
    penalty: Penalty | None = None

    @property
    def copies(self) -> list[tuple[int, ...]]:
        """The index of every view of an image, in every view part."""
        indexes: list[tuple[int, ...]] = [()]
        for view in self.views:
            indexes = [(*index, copy) for index in indexes for copy in range(view.copies)]
        return indexes

    @property
    def deterministic(self) -> bool:
        """Whether equal images always get equal answers."""
        return not self.views and not any(surgery.randomised for surgery in self.surgeries)

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield the pieces of what the attack raises, penalty included; see `Objective.terms`."""
        if self.penalty is None:
            return self.objective.terms(points, known, goal, forward)
        return self.penalty.terms(points, known, goal, forward, self.objective, forward.draws)


@dataclass(frozen=True)
class Setting:
    """The circumstances of a question that are the same for all models and points of a step.

    Attributes:
        batch: the examples that are under attack.
        query: what is asked.
        seed: the run's seed.
        attack: the attack's label; keys the random draws.
        step: index of the update; keys the random draws.
        draw: tells apart several independent draws within one step (SVRE).
    """

    batch: Batch
    query: Query
    seed: int
    attack: str
    step: int
    draw: str = ""

    def draws(self, model: str, rows: Tensor | None) -> Draws:
        """Return one random stream per asked row, for the model called ``model``."""
        draws = Draws.keyed(
            self.seed,
            self.batch.ids,
            attack=self.attack,
            step=self.step,
            model=f"{model}#{self.draw}" if self.draw else model,
        )
        return draws if rows is None else draws.rows(rows)


@dataclass(frozen=True)
class Question:
    """One query of one model.

    Attributes:
        model: index of the model in the oracle.
        points: where to ask, (R, 3, H, W).
        rows: which examples of the batch the points belong to, int64 (R,); all when None.
    """

    model: int
    points: Tensor
    rows: Tensor | None = None


@dataclass(frozen=True)
class Answer:
    """What a model says at its points.

    Attributes:
        values: J, mean over the views, (R,).
        gradient: dJ/dx in canonical space, (R, 3, H, W).
    """

    values: Tensor
    gradient: Tensor

    @property
    def finite(self) -> Tensor:
        """Which rows are usable, bool (R,): one reduction, since sums keep NaN and infinity."""
        return torch.isfinite(self.values) & torch.isfinite(self.gradient.flatten(1).sum(1))
