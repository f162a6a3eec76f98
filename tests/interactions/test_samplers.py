"""Sampled estimators: unbiased, with honest standard errors."""

import math

import pytest
import torch

from gauntlet.pipeline.interactions import (
    Grid,
    interaction_matrix,
    lambda_scale,
    mean_interaction,
    neighbour_map,
    neighbour_pairs,
    order_interactions,
    pair_interactions,
    sampled_mean_interaction,
    sampled_neighbour_map,
    sampled_order_interactions,
    sampled_pair_interactions,
    sampled_pair_order_interactions,
    sampled_shapley_values,
    set_interaction,
    sets_factor,
    shapley_values,
    sum_interaction,
)
from gauntlet.pipeline.interactions.contexts import random_contexts
from gauntlet.pipeline.interactions.mean_interaction import interaction_rows
from tests.toys.games import TableGame, draws, random_game, random_quadratic

REPEATS = 3000


def repeated(game):
    """The first game, once for each of many independent streams."""
    return TableGame(game.table[:1].expand(REPEATS, -1))


def mean_order(game, order):
    pairs = [(a, b) for a in range(game.players) for b in range(a)]
    return order_interactions(game, pairs).value.mean(1)[:, order]


ESTIMATORS = {
    "mean": (lambda g, d: sampled_mean_interaction(g, d, 4), mean_interaction),
    "Shapley values": (lambda g, d: sampled_shapley_values(g, d, 24), shapley_values),
    "pairs": (
        lambda g, d: sampled_pair_interactions(g, [(0, 3), (5, 2)], d, 32),
        lambda g: pair_interactions(g, [(0, 3), (5, 2)]),
    ),
    "mean of orders": (
        lambda g, d: sampled_order_interactions(g, [1, 4], d, 16),
        lambda g: mean_order(g, [1, 4]),
    ),
    "orders of a pair": (
        lambda g, d: sampled_pair_order_interactions(g, (4, 1), [1, 3], d, 16),
        lambda g: order_interactions(g, [(1, 4)]).value[:, 0, [1, 3]],
    ),
    "map": (
        lambda g, d: sampled_neighbour_map(g, Grid(2, 3), d, 16),
        lambda g: neighbour_map(g, Grid(2, 3)),
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_samplers_are_unbiased_and_their_errors_honest(name):
    sampled, exact = ESTIMATORS[name]
    game = random_game(7, players=6, examples=1)
    truth = exact(game)
    truth = getattr(truth, "value", truth)[0]
    estimate = sampled(repeated(game), draws(REPEATS))
    spread = estimate.value.std(0)
    z = (estimate.value.mean(0) - truth) / (spread / math.sqrt(REPEATS))
    assert z.abs().max() < 4
    # The squared standard error is an unbiased estimate of the variance.
    ratio = estimate.standard_error.square().mean(0) / spread.square()
    assert ((ratio - 1).abs() < 0.15).all(), ratio
    within = ((estimate.value - truth).abs() < 2 * estimate.standard_error).double().mean(0)
    assert (within > 0.85).all()
    assert (within < 0.99).all()


def test_all_cells_give_the_exact_mean_without_error():
    game = random_game(8, players=9)
    found = sampled_mean_interaction(game, draws(2), 9)
    assert torch.allclose(found.value, mean_interaction(game).value, rtol=0, atol=1e-14)
    assert found.standard_error.max() == 0


def test_the_error_of_the_mean_is_the_printed_formula():
    game, samples = random_game(9, players=8), 5
    found = sampled_mean_interaction(game, draws(2), samples)
    order = draws(2).uniform("interactions/cells", (8,), dtype=torch.float64).argsort(1)
    rows = interaction_rows(game).gather(1, order[:, :samples])
    expected = rows.std(1) * math.sqrt((1 - samples / 8) / samples) / 7
    assert torch.allclose(found.standard_error, expected, rtol=0, atol=1e-15)
    assert torch.allclose(found.value, rows.mean(1) / 7, rtol=0, atol=1e-15)


def test_the_set_term_of_a_quadratic_utility_estimates_the_mean_interaction():
    game = random_quadratic(10, players=8, examples=1)
    game.g, game.H, game.delta = (t.expand(REPEATS, *t.shape[1:]) for t in vars(game).values())
    found = set_interaction(game, draws(REPEATS), sets=4, cells=3)
    scaled = found.times(1 / lambda_scale(8, 3))
    truth = mean_interaction(game).value[0]
    z = (scaled.value.mean() - truth) / (scaled.value.std() / math.sqrt(REPEATS))
    assert abs(z) < 4
    ratio = scaled.standard_error.square().mean() / scaled.value.var()
    assert ratio.item() == pytest.approx(1, abs=0.1)


def test_the_set_term_of_another_utility_is_another_quantity():
    game = repeated(random_game(11, players=8, examples=1))
    found = set_interaction(game, draws(REPEATS), sets=8, cells=3).times(1 / lambda_scale(8, 3))
    truth = mean_interaction(game).value[0]
    z = (found.value.mean() - truth) / (found.value.std() / math.sqrt(REPEATS))
    assert abs(z) > 10


def test_scales_are_those_of_the_official_code():
    assert sets_factor(256, 32) == pytest.approx(0.10424, abs=5e-6)
    assert lambda_scale(256, 32) == pytest.approx(6805, abs=0.5)
    assert lambda_scale(2, 1) == 1.0
    for n, m in [(1, 3), (4, 0)]:
        with pytest.raises(ValueError, match="n >= 2 cells and m >= 1"):
            sets_factor(n, m)


def test_the_sum_is_n_n_minus_1_means():
    game = random_game(12, players=5)
    assert torch.equal(sum_interaction(game).value, mean_interaction(game).value * 20)
    assert mean_interaction(game).standard_error.max() == 0


def test_contexts_have_uniform_sizes_and_leave_the_pair_out():
    sets = random_contexts(draws(400), (3, 1), 50, 7)
    assert not sets[..., [1, 3]].any()
    sizes = torch.bincount(sets.sum(2).flatten(), minlength=6).double() / 20000
    assert ((sizes - 1 / 6).abs() < 4 * math.sqrt(5 / 36 / 20000)).all()
    others = sets[..., [0, 2, 4, 5, 6]].double().mean((0, 1))
    assert ((others - 0.5).abs() < 0.02).all()


def test_sampled_shapley_values_add_up():
    game = random_game(13, players=10)
    shares = sampled_shapley_values(game, draws(2), 4).value.sum(1)
    assert torch.allclose(shares, game.whole - game.empty, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("neighbours", "count"), [(4, 480), (8, 930)])
def test_neighbours_of_a_16_by_16_grid(neighbours, count):
    pairs = neighbour_pairs(Grid(16, 16), neighbours)
    assert len(set(pairs)) == len(pairs) == count
    for a, b in pairs:
        down, across = b // 16 - a // 16, abs(b % 16 - a % 16)
        assert a < b
        assert max(down, across) == 1
        assert neighbours == 8 or down + across == 1


@pytest.mark.parametrize("neighbours", [4, 8])
def test_the_map_is_the_mean_over_adjacent_cells(neighbours):
    game, grid = random_game(14, players=6), Grid(2, 3)
    matrix = interaction_matrix(game).value
    found = neighbour_map(game, grid, neighbours=neighbours).value
    for i in range(6):
        near = [
            j
            for j in range(6)
            if j != i
            and max(abs(i // 3 - j // 3), abs(i % 3 - j % 3)) == 1
            and (neighbours == 8 or i // 3 == j // 3 or i % 3 == j % 3)
        ]
        expected = matrix[:, i, near].mean(1)
        assert torch.allclose(found[:, i // 3, i % 3], expected, rtol=0, atol=1e-14)


def test_pairs_have_draws_of_their_own_whatever_their_order():
    game = random_game(15, players=8)
    several = sampled_pair_interactions(game, [(0, 1), (2, 6)], draws(2), 8).value
    alone = sampled_pair_interactions(game, [(6, 2)], draws(2), 8).value
    assert torch.allclose(several[:, 1:], alone, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda g, d: sampled_mean_interaction(g, d, 1), "from 2 to 6 of them, got 1"),
        (lambda g, d: sampled_mean_interaction(g, d, 7), "from 2 to 6 of them, got 7"),
        (lambda g, d: sampled_mean_interaction(g, draws(5), 3), "2 examples .*, got 5"),
        (lambda g, d: set_interaction(g, d, 1, 3), "at least 2 sets"),
        (lambda g, d: set_interaction(g, d, 3, 0), "at least 1 cell"),
        (lambda g, d: sampled_shapley_values(g, d, 5), "even number .* got 5"),
        (lambda g, d: sampled_shapley_values(g, d, 2), "at least 4; got 2"),
        (lambda g, d: sampled_pair_interactions(g, [(0, 1)], d, 3), "at least 4; got 3"),
        (lambda g, d: sampled_pair_interactions(g, [(0, 0)], d, 4), r"got \(0, 0\)"),
        (lambda g, d: sampled_pair_interactions(g, [(0, 6)], d, 4), "from 0 to 5"),
        (lambda g, d: pair_interactions(g, []), "at least one pair"),
        (lambda g, d: sampled_order_interactions(g, [5], d, 4), "from 0 to 4, got"),
        (lambda g, d: sampled_order_interactions(g, [0], d, 1), "at least 2 samples, got 1"),
        (lambda g, d: sampled_pair_order_interactions(g, (2, 2), [0], d, 4), r"got \(2, 2\)"),
        (lambda g, d: neighbour_map(g, Grid(2, 2)), "6 players, the grid 4 cells"),
        (lambda g, d: neighbour_map(g, Grid(2, 3), neighbours=6), "4 or 8 neighbours, got 6"),  # type: ignore[arg-type]
        (lambda g, d: neighbour_pairs(Grid(1, 1)), "no neighbours"),
        (lambda g, d: mean_interaction(random_game(0, 1)), "at least two players, got 1"),
        (lambda g, d: shapley_values(random_game(0, 15)), "stops at 14"),
    ],
)
def test_bad_requests_are_refused(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(random_game(16, players=6), draws(2))
