"""All coalitions of a small game, and random ones of a large game."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.game import Game

MOST_ENUMERATED = 14
"""Largest number of players whose 2^n coalitions are all evaluated."""


def enumerate_values(game: Game) -> Tensor:
    """Return v of all coalitions, float64 (B, 2^n); bit a of the position says whether a is in.

    Raises:
        ValueError: with more than 14 players, or where the players do not cover the image.
    """
    players = game.players
    if players > MOST_ENUMERATED:
        raise ValueError(
            f"{players} players have 2^{players} coalitions; enumeration stops at "
            f"{MOST_ENUMERATED} players: use a coarser grid or the sampled estimator"
        )
    check_cover(game)
    codes = torch.arange(1, 2**players - 1)
    sets = (codes[:, None] >> torch.arange(players) & 1).bool()
    inner = game.values(sets)
    return torch.cat([game.empty[:, None], inner, game.whole[:, None]], 1)


def subsets_without(players: int, *barred: int) -> tuple[Tensor, Tensor]:
    """Return the positions of all coalitions without some players, and their sizes, int64."""
    codes = torch.arange(2**players)
    closed = sum(1 << player for player in barred)
    codes = codes[codes & closed == 0]
    sizes = (codes[:, None] >> torch.arange(players) & 1).sum(1)
    return codes, sizes


def random_permutations(
    draws: Draws, purpose: str, count: int, players: int, first: tuple[int, ...] = ()
) -> Tensor:
    """Return uniform permutations of the players, int64 (B, count, n).

    Args:
        draws: one stream per game.
        purpose: what they are for.
        count: permutations per game.
        players: number n of players.
        first: players that take the first places, in this order.
    """
    scores = draws.uniform(purpose, (count, players), dtype=torch.float64)
    for place, player in enumerate(first):
        scores[..., player] = place - len(first)
    return scores.argsort(2)


def check_cover(game: Game) -> None:
    """Raise ValueError where pixels belong to no player: v(all players) is then not v(Omega)."""
    if not game.covers:
        raise ValueError(
            "this grid leaves pixels that belong to no cell, so that the cells alone are no game; "
            "use borders 'round', or a grid that divides the image"
        )
