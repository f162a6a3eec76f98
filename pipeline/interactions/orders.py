"""Multi-order interactions I_ab^(s): the mean of Dv over contexts of size s (specification 3.1).

The interaction paper's Eq. (7) prints a sum; its appendix's mean is the one for which I_ab is the
mean of its orders and Theorem 1 holds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.coalitions import (
    check_cover,
    enumerate_values,
    random_permutations,
    subsets_without,
)
from gauntlet.pipeline.interactions.contexts import Pairs, check_pairs, context_effects
from gauntlet.pipeline.interactions.estimate import Estimate
from gauntlet.pipeline.interactions.game import Game
from gauntlet.pipeline.interactions.mean_interaction import check_draws


def order_interactions(game: Game, pairs: Pairs) -> Estimate:
    """Return I_ab^(s) of the given pairs for all s = 0..n-2, (B, P, n - 1), by enumeration.

    Raises:
        ValueError: with more than 14 players, pairs that are none, or where the players do not
            cover the image.
    """
    players = game.players
    check_pairs(pairs, players)
    values = enumerate_values(game)
    by_pair = []
    for a, b in pairs:
        without, sizes = subsets_without(players, a, b)
        bit_a, bit_b = 1 << a, 1 << b
        effects = (
            values[:, without | bit_a | bit_b]
            - values[:, without | bit_a]
            - values[:, without | bit_b]
            + values[:, without]
        )
        by_size = [effects[:, sizes == size].mean(1) for size in range(players - 1)]
        by_pair.append(torch.stack(by_size, 1))
    return Estimate.of(torch.stack(by_pair, 1))


def sampled_order_interactions(
    game: Game, orders: Sequence[int], draws: Draws, samples: int
) -> Estimate:
    """Estimate E_{a != b}[I_ab^(s)], the mean over pairs, of the given orders, (B, orders).

    Each sample is a uniform pair with a uniform context of s others. Costs 4 evaluations each.

    Args:
        game: the games, of n players.
        orders: sizes s of the contexts, each in 0..n-2.
        draws: one stream per example; each order has draws of its own.
        samples: samples per order, at least 2.

    Raises:
        ValueError: for an order outside 0..n-2, fewer than 2 samples, streams that do not fit the
            examples, or players that do not cover the image.
    """
    return _each_order(game, orders, draws, samples, None)


def sampled_pair_order_interactions(
    game: Game, pair: tuple[int, int], orders: Sequence[int], draws: Draws, samples: int
) -> Estimate:
    """Estimate I_ab^(s) of one pair for the given orders, (B, orders).

    Args:
        game: the games, of n players.
        pair: the players a and b.
        orders: sizes s of the contexts, each in 0..n-2.
        draws: one stream per example; each pair and order has draws of its own.
        samples: contexts per order, at least 2; 4 evaluations each.

    Raises:
        ValueError: as ``sampled_order_interactions``, and for a pair that is none.
    """
    check_pairs([pair], game.players)
    return _each_order(game, orders, draws, samples, pair)


def _each_order(
    game: Game,
    orders: Sequence[int],
    draws: Draws,
    samples: int,
    pair: tuple[int, int] | None,
) -> Estimate:
    check_cover(game)
    check_draws(game, draws)
    if samples < 2:
        raise ValueError(f"a standard error needs at least 2 samples, got {samples}")
    wrong = [order for order in orders if not 0 <= order <= game.players - 2]
    if wrong or not orders:
        raise ValueError(f"orders must be from 0 to {game.players - 2}, got {list(orders)}")
    return Estimate.of_samples(
        torch.stack([_effects(game, order, draws, samples, pair) for order in orders], 1)
    )


def _effects(
    game: Game, order: int, draws: Draws, samples: int, pair: tuple[int, int] | None
) -> Tensor:
    """Return Dv of random contexts of one size, (B, K); of random pairs unless one is given."""
    purpose = f"interactions/order/{order}"
    if pair is None:
        ranked = random_permutations(draws, purpose, samples, game.players)
    else:
        purpose += f"/{min(pair)}/{max(pair)}"
        ranked = random_permutations(draws, purpose, samples, game.players, first=pair)
    contexts = torch.zeros(ranked.shape, dtype=torch.bool)
    contexts.scatter_(2, ranked[..., 2 : 2 + order], True)
    return context_effects(game, ranked[..., 0], ranked[..., 1], contexts)
