"""The map of interactions between adjacent cells (interaction paper, Figure 3; specification 3.4).

The paper uses the utility ``margin``, and shows both attacks on one colour scale.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.interactions.estimate import Estimate
from gauntlet.pipeline.interactions.game import Game
from gauntlet.pipeline.interactions.pairwise import pair_interactions, sampled_pair_interactions

Neighbours = Literal[4, 8]


def neighbour_pairs(grid: Grid, neighbours: Neighbours = 4) -> list[tuple[int, int]]:
    """Return the unordered pairs of adjacent cells, a < b: 480 for 16 x 16 and 4 neighbours.

    Args:
        grid: the cells, numbered row by row.
        neighbours: 4 (a common side) or 8 (also a common corner). The paper does not say which.

    Raises:
        ValueError: for another number, or a grid of one cell.
    """
    if neighbours not in (4, 8):
        raise ValueError(f"a cell has 4 or 8 neighbours, got {neighbours}")
    if grid.cells < 2:
        raise ValueError("a single cell has no neighbours")
    steps = [(0, 1), (1, 0)] if neighbours == 4 else [(0, 1), (1, -1), (1, 0), (1, 1)]
    return [
        (row * grid.columns + column, (row + down) * grid.columns + column + across)
        for row in range(grid.rows)
        for column in range(grid.columns)
        for down, across in steps
        if row + down < grid.rows and 0 <= column + across < grid.columns
    ]


def neighbour_map(game: Game, grid: Grid, *, neighbours: Neighbours = 4) -> Estimate:
    """Return E_{j in N_i}[I_ij] of every cell i, (B, rows, columns), by enumeration.

    Args:
        game: the games of the grid's cells.
        grid: the cells.
        neighbours: 4 or 8.

    Raises:
        ValueError: for more than 14 cells, another number of neighbours, a grid that is not the
            game's, or one that does not cover the image.
    """
    pairs = _pairs(game, grid, neighbours)
    return _by_cell(pair_interactions(game, pairs), pairs, grid)


def sampled_neighbour_map(
    game: Game, grid: Grid, draws: Draws, contexts: int, *, neighbours: Neighbours = 4
) -> Estimate:
    """Estimate E_{j in N_i}[I_ij] of every cell i, (B, rows, columns), with standard errors.

    Each pair has contexts of its own, so that the errors of a cell's pairs are independent. Costs
    4 evaluations per pair and context: 1920 per context for 16 x 16 cells.

    Args:
        game: the games of the grid's cells.
        grid: the cells.
        draws: one stream per example.
        contexts: contexts per pair, even and at least 4.
        neighbours: 4 or 8.

    Raises:
        ValueError: for numbers of contexts or neighbours other than these, streams that do not fit
            the examples, a grid that is not the game's, or one that does not cover the image.
    """
    pairs = _pairs(game, grid, neighbours)
    return _by_cell(sampled_pair_interactions(game, pairs, draws, contexts), pairs, grid)


def _pairs(game: Game, grid: Grid, neighbours: Neighbours) -> list[tuple[int, int]]:
    if grid.cells != game.players:
        raise ValueError(f"the game has {game.players} players, the grid {grid.cells} cells")
    return neighbour_pairs(grid, neighbours)


def _by_cell(pairs: Estimate, index: list[tuple[int, int]], grid: Grid) -> Estimate:
    """Return the mean over each cell's pairs, from one estimate per pair (B, P)."""
    touches = torch.zeros(len(index), grid.cells, dtype=torch.bool)
    touches.scatter_(1, torch.tensor(index), True)
    degree = touches.sum(0)

    def total(values: Tensor) -> Tensor:
        # A product with the incidence matrix would carry NaN into cells that it does not touch.
        return torch.stack([values[:, of_cell].sum(1) for of_cell in touches.unbind(1)], 1)

    value = total(pairs.value) / degree
    error = total(pairs.standard_error.square()).sqrt() / degree
    shape = (-1, grid.rows, grid.columns)
    return Estimate.of(value.reshape(shape), error.reshape(shape))
