"""Shapley values of perturbation units (Shapley 1953; interaction paper, appendix A)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.coalitions import (
    check_cover,
    enumerate_values,
    random_permutations,
    subsets_without,
)
from gauntlet.pipeline.interactions.estimate import Estimate
from gauntlet.pipeline.interactions.game import Game
from gauntlet.pipeline.interactions.mean_interaction import check_draws


def shapley_values(game: Game) -> Estimate:
    """Return phi_a = sum_S |S|! (n-|S|-1)! / n! [v(S + a) - v(S)], (B, n), by enumeration.

    Raises:
        ValueError: with more than 14 players, or where the players do not cover the image.
    """
    values, players = enumerate_values(game), game.players
    weights = torch.tensor(
        [1 / (players * math.comb(players - 1, size)) for size in range(players)],
        dtype=torch.float64,
    )
    shares = []
    for player in range(players):
        without, sizes = subsets_without(players, player)
        gains = values[:, without | 1 << player] - values[:, without]
        shares.append((gains * weights[sizes]).sum(1))
    return Estimate.of(torch.stack(shares, 1))


def sampled_shapley_values(game: Game, draws: Draws, permutations: int) -> Estimate:
    """Estimate phi, (B, n), from the players' gains along random permutations.

    Permutations come in antithetic pairs, each with its reverse, and the standard error is that of
    the pairs' means. Costs n - 1 evaluations each. The estimates of one example sum to v(Omega) -
    v(empty) exactly.

    Args:
        game: the games, of n players.
        draws: one stream per example.
        permutations: number of permutations, even and at least 4.

    Raises:
        ValueError: for an odd number or fewer than 4, streams that do not fit the examples, or
            players that do not cover the image.
    """
    check_cover(game)
    check_draws(game, draws)
    if permutations < 4 or permutations % 2:
        raise ValueError(
            f"antithetic pairs need an even number of permutations, at least 4; got {permutations}"
        )
    means = []
    for pair in range(permutations // 2):
        forward = random_permutations(draws, f"interactions/shapley/{pair}", 1, game.players)
        both = torch.cat([forward, forward.flip(2)], 1)
        means.append(_gains(game, both).mean(1))
    return Estimate.of_samples(torch.stack(means, 2))


def _gains(game: Game, order: Tensor) -> Tensor:
    """Return v(before a, and a) - v(before a) for permutations (B, P, n), by player."""
    examples, count, players = order.shape
    rank = order.argsort(2)
    # Prefix j holds the players whose rank is at most j; the last one is Omega.
    prefixes = rank[:, :, None] <= torch.arange(players - 1)[:, None]
    inner = game.values(prefixes.flatten(1, 2)).reshape(examples, count, players - 1)
    ends = [side[:, None, None].expand(-1, count, 1) for side in (game.empty, game.whole)]
    along = torch.cat([ends[0], inner, ends[1]], 2).diff(dim=2)
    return along.gather(2, rank)
