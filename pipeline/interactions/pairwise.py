"""Pairwise interactions I_ab: the Shapley interaction index of order 2 (interaction paper, Eq. 6).

I_ab is the mean over sizes s = 0..n-2 of the mean of Dv(a, b, S) over the contexts S of size s. A
uniform mean over all contexts would be the Banzhaf index, for which Eq. 12 does not hold.
"""

from __future__ import annotations

import torch

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.coalitions import check_cover
from gauntlet.pipeline.interactions.contexts import (
    Pairs,
    check_pairs,
    context_effects,
    random_contexts,
)
from gauntlet.pipeline.interactions.estimate import Estimate
from gauntlet.pipeline.interactions.game import Game
from gauntlet.pipeline.interactions.mean_interaction import check_draws
from gauntlet.pipeline.interactions.orders import order_interactions


def pair_interactions(game: Game, pairs: Pairs) -> Estimate:
    """Return I_ab of the given pairs, (B, P), by enumeration of all coalitions.

    Raises:
        ValueError: with more than 14 players, pairs that are none, or where the players do not
            cover the image.
    """
    return Estimate.of(order_interactions(game, pairs).value.mean(2))


def interaction_matrix(game: Game) -> Estimate:
    """Return I_ab of all pairs, (B, n, n), symmetric, by enumeration.

    The diagonal is zero: a unit has no interaction with itself, and the sum over the matrix is
    Eq. 12.

    Raises:
        ValueError: with more than 14 players, or where the players do not cover the image.
    """
    first, second = torch.triu_indices(game.players, game.players, 1)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    upper = pair_interactions(game, pairs).value
    matrix = torch.zeros(game.examples, game.players, game.players, dtype=torch.float64)
    matrix[:, first, second] = upper
    matrix[:, second, first] = upper
    return Estimate.of(matrix)


def sampled_pair_interactions(game: Game, pairs: Pairs, draws: Draws, contexts: int) -> Estimate:
    """Estimate I_ab of the given pairs, (B, P), from random contexts of each.

    A context is a size s uniform in 0..n-2 and a set S of that size uniform among the others. It
    comes with its complement among the others, which has the same law (antithetic), and the
    standard error is that of the means of these couples. Costs 4 evaluations per context.

    Args:
        game: the games, of n players.
        pairs: the pairs (a, b).
        draws: one stream per example; each pair has draws of its own.
        contexts: contexts per pair, even and at least 4.

    Raises:
        ValueError: for an odd number or fewer than 4, pairs that are none, streams that do not fit
            the examples, or players that do not cover the image.
    """
    check_cover(game)
    check_draws(game, draws)
    check_pairs(pairs, game.players)
    if contexts < 4 or contexts % 2:
        raise ValueError(f"antithetic contexts need an even number, at least 4; got {contexts}")
    estimates = []
    for a, b in pairs:
        half = random_contexts(draws, (a, b), contexts // 2, game.players)
        others = torch.ones(game.players, dtype=torch.bool)
        others[[a, b]] = False
        effects = context_effects(
            game, torch.tensor([[a]]), torch.tensor([[b]]), torch.cat([half, ~half & others], 1)
        )
        estimates.append(torch.stack(effects.chunk(2, 1)).mean(0))
    return Estimate.of_samples(torch.stack(estimates, 1))
