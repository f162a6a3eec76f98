"""What travels to a model, and what comes back (ARCHITECTURE section 2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.attacks.part import Part, Place
from pipeline.batch import Batch, Goal, Task
from pipeline.draws import Draws


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


class Objective(Part):
    """The scalar of each example that the attack raises: always maximised (METHODS 0.2)."""

    place: ClassVar[Place] = Place.OBJECTIVE
    tasks: ClassVar[frozenset[Task]] = frozenset()

    @abstractmethod
    def prepare(self, model: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
        """Return what the objective needs to know of each example, (B, ...), once per batch."""

    @abstractmethod
    def of_outputs(self, outputs: Tensor, known: Tensor, goal: Goal) -> Tensor:
        """Return J of each row, (R,), from the model's outputs (R, C) and ``known`` (R, ...)."""


@dataclass(frozen=True)
class Query:
    """What is asked of a model at a point: views, objective, gradient filters."""

    objective: Objective
    views: tuple[View, ...] = ()
    filters: tuple[Filter, ...] = ()

    @property
    def copies(self) -> list[tuple[int, ...]]:
        """The index of every view of an image, in every view part."""
        indexes: list[tuple[int, ...]] = [()]
        for view in self.views:
            indexes = [(*index, copy) for index in indexes for copy in range(view.copies)]
        return indexes

    @property
    def deterministic(self) -> bool:
        """Whether the query leaves the images as they are."""
        return not self.views


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
