"""Games played by the units of a perturbation, evaluated in passes of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from gauntlet.pipeline.batch import Batch, Task
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.interactions.utilities import UtilityChoice, build_utility, resolve


class Game(Protocol):
    """B cooperative games of n players each, one an example."""

    @property
    def examples(self) -> int:
        """Number B of games."""

    @property
    def players(self) -> int:
        """Number n of players."""

    @property
    def covers(self) -> bool:
        """Whether the n players together are Omega; not so where pixels belong to no cell."""

    @property
    def empty(self) -> Tensor:
        """v(empty), float64 (B,) on the CPU."""

    @property
    def whole(self) -> Tensor:
        """v(Omega), float64 (B,) on the CPU."""

    def values(self, sets: Tensor, *, complement: bool = False) -> Tensor:
        """Return v(S), or v(Omega minus S), of M coalitions per game, float64 (B, M) on the CPU.

        Args:
            sets: bool, (M, n) for the same coalitions in every game or (B, M, n).
            complement: whether to evaluate the complement of each set.
        """


class PerturbationGame:
    """The game of a perturbation's cells on one model: v(S) at x + delta^(S) (specification 3.1).

    delta^(S) keeps delta in the cells of S. v(empty) and v(Omega) are made once, and no gradient
    is recorded.

    Args:
        model: gives logits or embeddings (R, C) for images (R, 3, H, W) in [0, 1]; in eval mode,
            so that the rows of a pass do not depend on each other.
        batch: the clean examples x and their goal.
        images: the perturbed images x + delta, (B, 3, H, W).
        grid: the cells that are the players.
        utility: what a coalition is worth.
        rows_per_pass: most images in one call of the model.

    Raises:
        ValueError: for shapes that do not fit, a utility that the task does not have, a class that
            the model does not know, or a grid finer than the image.
    """

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        batch: Batch,
        images: Tensor,
        *,
        grid: Grid,
        utility: UtilityChoice = "auto",
        rows_per_pass: int = 64,
    ) -> None:
        if images.shape != batch.images.shape:
            raise ValueError(
                f"perturbed images must have the shape of the clean ones, "
                f"{tuple(batch.images.shape)}, got {tuple(images.shape)}"
            )
        if rows_per_pass < 1:
            raise ValueError(f"rows_per_pass must be at least 1, got {rows_per_pass}")
        self.utility = resolve(utility, batch.goal)
        self.height, self.width = images.shape[2:]
        grid.labels(self.height, self.width)  # refuses a grid finer than the image, before any work
        self.grid = grid
        self.evaluations = 0
        self._model = model
        self._rows_per_pass = rows_per_pass
        self._clean = batch.images
        self._perturbed = images.to(batch.images)
        clean, whole = self._outputs(self._clean), self._outputs(self._perturbed)
        references = None
        if batch.goal.task is Task.VERIFICATION:
            assert batch.references is not None  # Batch checks it
            references = self._outputs(batch.references.to(batch.images))
        self._value = build_utility(self.utility, batch, clean, whole, references)
        everyone = torch.arange(len(batch), device=clean.device)
        self._ends = torch.stack([self._value(clean, everyone), self._value(whole, everyone)]).cpu()

    @property
    def examples(self) -> int:
        """Number B of examples."""
        return len(self._clean)

    @property
    def players(self) -> int:
        """Number n of cells."""
        return self.grid.cells

    @cached_property
    def covers(self) -> bool:
        """Whether every pixel belongs to a cell."""
        return self.grid.covers(self.height, self.width)

    @property
    def empty(self) -> Tensor:
        """v(empty): the utility of the clean image, float64 (B,) on the CPU."""
        return self._ends[0]

    @property
    def whole(self) -> Tensor:
        """v(Omega): the utility of the whole perturbation, float64 (B,) on the CPU."""
        return self._ends[1]

    def values(self, sets: Tensor, *, complement: bool = False) -> Tensor:
        """Return v(S), or v(Omega minus S), of M coalitions per example, float64 (B, M), CPU.

        Pixels that belong to no cell are perturbed in complements only.

        Args:
            sets: bool, (M, n) for the same coalitions in every example or (B, M, n).
            complement: whether to evaluate the complement of each set.
        """
        count = sets.shape[-2]
        sets = sets.expand(self.examples, -1, -1)
        device = self._clean.device
        pieces = [torch.zeros(0, dtype=torch.float64, device=device)]
        for index in torch.split(torch.arange(self.examples * count), self._rows_per_pass):
            if not len(index):
                break
            example, coalition = index // count, index % count
            inside = self.grid.masks(
                sets[example, coalition], self.height, self.width, torch.bool, device
            )
            rows = example.to(device)
            # A choice, not x + mask * delta: the stored pixels themselves, without rounding.
            points = torch.where(
                ~inside if complement else inside, self._perturbed[rows], self._clean[rows]
            )
            pieces.append(self._value(self._outputs(points), rows))
        return torch.cat(pieces).cpu().reshape(self.examples, count)

    def _outputs(self, images: Tensor) -> Tensor:
        """Return the model's outputs at any number of images, in passes of bounded size."""
        pieces = []
        for points in torch.split(images, self._rows_per_pass):
            with torch.no_grad():
                outputs = self._model(points)
            if outputs.ndim != 2 or len(outputs) != len(points):
                raise ValueError(
                    f"the model must give ({len(points)}, C) outputs for {len(points)} images, "
                    f"got {tuple(outputs.shape)}"
                )
            self.evaluations += len(points)
            pieces.append(outputs)
        return torch.cat(pieces)
