"""The effect of a pair of players in contexts: Dv(a, b, S) (interaction paper, Eq. 6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.game import Game

Pairs = Sequence[tuple[int, int]]


def check_pairs(pairs: Pairs, players: int) -> None:
    """Raise ValueError unless every pair names two different players."""
    if not pairs:
        raise ValueError("need at least one pair of players")
    for a, b in pairs:
        if a == b or not (0 <= a < players and 0 <= b < players):
            raise ValueError(
                f"a pair needs two different players from 0 to {players - 1}, got ({a}, {b})"
            )


def context_effects(game: Game, a: Tensor, b: Tensor, contexts: Tensor) -> Tensor:
    """Return Dv = v(S + a + b) - v(S + a) - v(S + b) + v(S) of every context, float64 (B, K).

    Args:
        game: the games, of n players.
        a: first player of each context's pair, int64, (B, K) or (1, 1).
        b: second player, likewise.
        contexts: sets S without a and b, bool (B, K, n).
    """
    with_a, with_b = (contexts | F.one_hot(player, game.players).bool() for player in (a, b))
    corners = torch.cat([with_a | with_b, with_a, with_b, contexts], 1)
    both, only_a, only_b, none = game.values(corners).chunk(4, 1)
    return both - only_a - only_b + none


def random_contexts(draws: Draws, pair: tuple[int, int], count: int, players: int) -> Tensor:
    """Return sets without a pair, bool (B, K, n): size uniform in 0..n-2, then the set uniform."""
    a, b = pair
    purpose = f"interactions/contexts/{min(pair)}/{max(pair)}"
    sizes = draws.integers(f"{purpose}/size", 0, players - 1, (count, 1))
    scores = draws.uniform(f"{purpose}/set", (count, players), dtype=torch.float64)
    scores[..., [a, b]] = torch.inf
    return scores.argsort(2).argsort(2) < sizes
