"""The mean interaction by the row identity (interaction paper, Eq. 12; spec. 3.1 and 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.estimate import Estimate
from gauntlet.pipeline.interactions.game import Game


def interaction_rows(game: Game, cells: Tensor | None = None) -> Tensor:
    """Return sum_{b != a} I_ab = v(Omega) - v(Omega minus a) - v({a}) + v(empty), (B, K).

    Costs 2 K evaluations per example.

    Args:
        game: the games, of n players.
        cells: the players a, int64 (B, K); all of them by default, K = n.
    """
    if cells is None:
        sets = torch.eye(game.players, dtype=torch.bool)
    else:
        sets = torch.zeros(*cells.shape, game.players, dtype=torch.bool)
        sets.scatter_(2, cells[..., None], True)
    return mixed_difference(game, sets)


def mixed_difference(game: Game, sets: Tensor) -> Tensor:
    """Return v(Omega) - v(Omega minus S) - v(S) + v(empty) of every set, float64 (B, M).

    Args:
        game: the games, of n players.
        sets: bool (M, n) or (B, M, n).
    """
    lost = game.whole[:, None] - game.values(sets, complement=True)
    return lost - (game.values(sets) - game.empty[:, None])


def mean_interaction(game: Game) -> Estimate:
    """Return E_{a != b}[I_ab] of each example, (B,), exactly from 2n + 2 evaluations (Eq. 12).

    Raises:
        ValueError: with fewer than two players.
    """
    _at_least_two(game)
    return Estimate.of(interaction_rows(game).mean(1) / (game.players - 1))


def sum_interaction(game: Game) -> Estimate:
    """Return sum over ordered pairs a != b of I_ab, (B,): n (n - 1) times the mean."""
    return mean_interaction(game).times(game.players * (game.players - 1))


def sampled_mean_interaction(game: Game, draws: Draws, samples: int) -> Estimate:
    """Estimate E_{a != b}[I_ab], (B,), from the rows of K cells drawn without replacement.

    Unbiased; 2K + 2 evaluations. The standard error sd_a sqrt((1 - K/n) / K) / (n - 1) counts the
    finite population: it is zero at K = n.

    Args:
        game: the games, of n players.
        draws: one stream per example.
        samples: number K of cells, 2 to n.

    Raises:
        ValueError: for a K outside 2..n, or streams that do not fit the examples.
    """
    players = game.players
    _at_least_two(game)
    check_draws(game, draws)
    if not 2 <= samples <= players:
        raise ValueError(
            f"the mean interaction of {players} cells can be sampled from 2 to {players} of them, "
            f"got {samples}"
        )
    order = draws.uniform("interactions/cells", (players,), dtype=torch.float64).argsort(1)
    rows = interaction_rows(game, order[:, :samples])
    return Estimate.of_samples(rows, share=samples / players).times(1 / (players - 1))


def set_interaction(game: Game, draws: Draws, sets: int = 32, cells: int = 32) -> Estimate:
    """Return the official code's set term, (B,): the mean of the mixed difference over sets.

    Each set is the union of ``cells`` cells drawn with replacement. Divide by
    ``lambda_scale(n, cells)`` for the mean interaction: exact in expectation for a quadratic
    utility; for others it weighs the coalition sizes differently, so reports use Eq. 12.

    Args:
        game: the games, of n players.
        draws: one stream per example.
        sets: sets drawn, at least 2.
        cells: cells drawn for each set, at least 1.

    Raises:
        ValueError: for too few sets or cells, or streams that do not fit the examples.
    """
    _at_least_two(game)
    check_draws(game, draws)
    if sets < 2 or cells < 1:
        raise ValueError(f"need at least 2 sets of at least 1 cell, got {sets} sets of {cells}")
    drawn = draws.integers("interactions/sets", 0, game.players, (sets, cells))
    chosen = torch.zeros(game.examples, sets, game.players, dtype=torch.bool)
    chosen.scatter_(2, drawn, True)
    return Estimate.of_samples(mixed_difference(game, chosen))


def check_draws(game: Game, draws: Draws) -> None:
    """Raise ValueError unless there is one random stream per example."""
    if len(draws) != game.examples:
        raise ValueError(f"{game.examples} examples need one stream each, got {len(draws)}")


def _at_least_two(game: Game) -> None:
    if game.players < 2:
        raise ValueError(f"an interaction needs at least two players, got {game.players}")
