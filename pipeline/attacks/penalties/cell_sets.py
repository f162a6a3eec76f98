"""Coalitions of cells, and images on which only one coalition is perturbed (specification 2.8)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Grid


def unions(draws: Draws, n: int, sets: int, cells: int, device: torch.device) -> Tensor:
    """Return unions of ``cells`` cells drawn with replacement, bool (rows, sets, n).

    Each row draws its own, as the official code does for its one image.
    """
    drawn = draws.integers("interactions/sets", 0, n, (sets, cells), device=device)
    empty = torch.zeros(len(draws), sets, n, dtype=torch.bool, device=device)
    return empty.scatter(2, drawn, True)


def single_cells(draws: Draws, n: int, samples: int | None, device: torch.device) -> Tensor:
    """Return coalitions of one cell each, bool (rows, samples, n).

    Args:
        draws: one stream per row.
        n: number of cells.
        samples: how many cells, drawn without replacement; all n in turn when None.
        device: where the result is needed.
    """
    every = torch.eye(n, dtype=torch.bool, device=device)
    if samples is None:
        return every.expand(len(draws), n, n)
    order = draws.uniform("interactions/cells", (n,), device=device, dtype=torch.float64)
    return every[order.argsort(1)[:, :samples]]


def perturbed(
    points: Tensor, clean: Tensor, coalitions: Tensor, grid: Grid, room: int
) -> Iterator[Tensor]:
    """Yield x + delta^(S) for every S, then for every complement, (V * rows, 3, H, W).

    Variants are outermost, ``room`` of them at a time. Pixels that belong to no cell are in no S
    and in every complement.

    Args:
        points: x + delta, (rows, 3, H, W).
        clean: x, (rows, 3, H, W).
        coalitions: the cells of each S, bool (rows, K, n).
        grid: the cells.
        room: variants of each row that fit into one pass.
    """
    height, width = points.shape[2:]
    sets = coalitions.shape[1]
    for first in range(0, 2 * sets, room):
        last = first + room
        inside, outside = (
            grid.masks(part, height, width, torch.bool, points.device).transpose(0, 1)
            for part in (
                coalitions[:, first : min(last, sets)],
                coalitions[:, max(first - sets, 0) : max(last - sets, 0)],
            )
        )
        yield torch.where(torch.cat([inside, ~outside]), points, clean).flatten(0, 1)
