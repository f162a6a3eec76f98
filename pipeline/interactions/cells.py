"""Perturbation units: the cells of a grid over the image (interaction paper 3.1; spec. 2.8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Borders = Literal["round", "floor"]


@dataclass(frozen=True)
class Grid:
    """A grid of perturbation units, numbered row by row; a cell holds all channels of its pixels.

    Attributes:
        rows: cells from top to bottom.
        columns: cells from left to right.
        borders: where the cells meet on an image that the grid does not divide. ``round``: border
            i lies at round(i H / rows), so that every pixel belongs to a cell. ``floor``: cells of
            floor(H / rows) pixels, as in the paper's code; the rest at the lower and right edge
            belongs to no cell, hence to no coalition S, and always to its complement.
    """

    rows: int
    columns: int
    borders: Borders = "round"

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(
                f"a grid needs at least one row and column, got {self.rows} x {self.columns}"
            )
        if self.borders not in ("round", "floor"):
            raise ValueError(f"borders are 'round' or 'floor', got {self.borders!r}")

    @property
    def cells(self) -> int:
        """Number n of cells: the players of the game."""
        return self.rows * self.columns

    def labels(self, height: int, width: int, *, exact: bool = False) -> Tensor:
        """Return the cell of every pixel, int64 (H, W) on the CPU; -1 where there is none.

        Raises:
            ValueError: when there are more rows or columns than pixels; with ``exact``, also when
                the grid does not divide the image.
        """
        size = f"{self.rows} x {self.columns} grid on an image of {height} x {width} pixels"
        if self.rows > height or self.columns > width:
            raise ValueError(f"{size}: cells would be empty; choose a coarser grid")
        if exact and (height % self.rows or width % self.columns):
            raise ValueError(f"{size}: cells would differ in size; choose a grid that divides it")
        return _labels(self, height, width).clone()

    def covers(self, height: int, width: int) -> bool:
        """Return whether every pixel of an H x W image belongs to a cell."""
        return self.borders == "round" or not (height % self.rows or width % self.columns)

    def masks(
        self,
        sets: Tensor,
        height: int,
        width: int,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> Tensor:
        """Return the pixels of every coalition, (..., 1, H, W), one inside and zero outside.

        The complement of a coalition is ``1 - mask`` (``~mask`` in bool): with ``floor`` borders it
        holds the pixels that belong to no cell.

        Args:
            sets: the cells of each coalition, bool (..., n).
            height: rows of pixels H.
            width: columns of pixels W.
            dtype: type of the result; bool is allowed.
            device: where the result is needed.
        """
        if sets.dtype != torch.bool or sets.ndim < 1 or sets.shape[-1] != self.cells:
            raise ValueError(
                f"sets must be bool (..., {self.cells}), got {sets.dtype} {tuple(sets.shape)}"
            )
        labels = self.labels(height, width).to(device)
        # Label -1 reads the appended last column: "no cell" is in no coalition.
        closed = torch.cat([sets, sets.new_zeros(*sets.shape[:-1], 1)], -1).to(device)
        return closed[..., labels].unsqueeze(-3).to(dtype)


@lru_cache(maxsize=64)
def _labels(grid: Grid, height: int, width: int) -> Tensor:
    down = _axis(height, grid.rows, grid.borders)[:, None]
    across = _axis(width, grid.columns, grid.borders)[None]
    labels = down * grid.columns + across
    return labels.masked_fill((down < 0) | (across < 0), -1)


def _axis(pixels: int, cells: int, borders: Borders) -> Tensor:
    """Return the cell index of every pixel along one axis, int64 (pixels,); -1 for the rest."""
    position = torch.arange(pixels)
    if borders == "floor":
        index = position // (pixels // cells)
        return index.masked_fill(index >= cells, -1)
    # round(i H / rows), halves up, in integers: floating point would make the border a matter of
    # the last bit.
    inner = (2 * torch.arange(1, cells) * pixels + cells) // (2 * cells)
    return torch.searchsorted(inner, position, right=True)
