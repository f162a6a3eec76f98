"""Oracle tests O-INT-1 and O-TH-1 to O-TH-4 of specification 3: what an interaction is."""

import itertools
import math

import pytest
import torch

from gauntlet.pipeline.interactions import (
    Grid,
    PerturbationGame,
    interaction_matrix,
    mean_interaction,
    order_interactions,
    pair_interactions,
    set_interaction,
    sets_factor,
    shapley_values,
    sum_interaction,
)
from gauntlet.pipeline.interactions.coalitions import enumerate_values, subsets_without
from gauntlet.pipeline.interactions.mean_interaction import interaction_rows, mixed_difference
from tests.toys.games import (
    QuadraticModel,
    TableGame,
    classes_batch,
    draws,
    normal,
    perturbed,
    random_game,
    random_quadratic,
)


def all_pairs(players):
    return list(itertools.combinations(range(players), 2))


def literal_pair_interaction(table, players, a, b):
    """I_ab straight from the printed weights |S|! (n - |S| - 2)! / (n - 1)!."""
    others = [i for i in range(players) if i not in (a, b)]
    total = torch.zeros(len(table), dtype=torch.float64)
    for size in range(players - 1):
        orders = math.factorial(size) * math.factorial(players - size - 2)
        weight = orders / math.factorial(players - 1)
        for chosen in itertools.combinations(others, size):
            code = sum(1 << i for i in chosen)
            effect = table[:, code | 1 << a | 1 << b] - table[:, code | 1 << a]
            total += weight * (effect - table[:, code | 1 << b] + table[:, code])
    return total


def test_o_int_1_every_size_of_context_has_the_same_weight():
    players = 9
    _, sizes = subsets_without(players, 2, 5)
    for size in range(players - 1):
        orders = math.factorial(size) * math.factorial(players - size - 2)
        literal = orders / math.factorial(players - 1)
        assert (sizes == size).sum() * literal == pytest.approx(0.125, abs=1e-15)
        # A game that pays for one size of context only: I_ab is the weight of that size.
        table = torch.zeros(1, 2**players, dtype=torch.float64)
        codes, context = subsets_without(players, 2, 5)
        table[0, codes[context == size] | 1 << 2 | 1 << 5] = 1
        found = pair_interactions(TableGame(table), [(2, 5)]).value
        assert found.item() == pytest.approx(0.125, abs=1e-15)


def test_pair_interactions_are_the_printed_sum():
    game = random_game(5, players=6)
    for (a, b), found in zip(
        all_pairs(6), pair_interactions(game, all_pairs(6)).value.T, strict=True
    ):
        assert torch.allclose(
            found, literal_pair_interaction(game.table, 6, a, b), rtol=0, atol=1e-14
        )


def test_o_th_1_quadratic_interactions_are_the_hessian_blocks():
    game = random_quadratic(11, players=8)
    blocks = game.delta[:, :, None] * game.H * game.delta[:, None]
    off = blocks - torch.diag_embed(blocks.diagonal(dim1=1, dim2=2))
    matrix = interaction_matrix(game).value
    assert torch.allclose(matrix, off, rtol=0, atol=1e-13)
    whole = blocks.sum((1, 2))
    by_pairs, by_row_identity = matrix.sum((1, 2)), sum_interaction(game).value
    by_curvature = whole - blocks.diagonal(dim1=1, dim2=2).sum(1)
    assert torch.allclose(by_pairs, by_curvature, rtol=0, atol=1e-12)
    assert torch.allclose(by_row_identity, by_curvature, rtol=0, atol=1e-12)
    assert torch.allclose(mean_interaction(game).value * 56, by_pairs, rtol=0, atol=1e-12)
    # The self terms matter: Eq. 12 alone is another number.
    assert ((whole - by_row_identity).abs() > 0.1).all()


def test_o_th_1_holds_for_cells_of_pixels_on_images():
    side, grid = 6, Grid(2, 4)
    model, batch = QuadraticModel(3, side), classes_batch(2, side)
    assert batch.labels is not None
    batch.labels.fill_(1)
    images = perturbed(batch)
    game = PerturbationGame(model, batch, images, grid=grid, utility="margin")
    delta = (images - batch.images).flatten(1)
    cells = torch.nn.functional.one_hot(grid.labels(side, side).flatten().repeat(3), 8)
    parts = delta[:, None] * cells.T
    blocks = parts @ model.H @ parts.mT
    off = blocks - torch.diag_embed(blocks.diagonal(dim1=1, dim2=2))
    assert torch.allclose(interaction_matrix(game).value, off, rtol=0, atol=1e-11)
    assert torch.allclose(sum_interaction(game).value, off.sum((1, 2)), rtol=0, atol=1e-11)


def test_o_th_2_row_identity_mean_over_orders_and_theorem_1():
    players = 7
    game = random_game(21, players)
    matrix = interaction_matrix(game).value
    assert torch.allclose(matrix.sum(2), interaction_rows(game), rtol=0, atol=1e-13)
    pairs = all_pairs(players)
    orders = order_interactions(game, pairs).value
    upper = torch.stack([matrix[:, a, b] for a, b in pairs], 1)
    assert torch.allclose(orders.mean(2), upper, rtol=0, atol=1e-14)
    alone = game.values(torch.eye(players, dtype=torch.bool)) - game.empty[:, None]
    weights = (players - 1 - torch.arange(players - 1)).double() / (players * (players - 1))
    # Unordered pairs count twice in the sum over ordered ones.
    theorem = alone.sum(1) + 2 * (orders * weights).sum((1, 2))
    assert torch.allclose(theorem, game.whole - game.empty, rtol=0, atol=1e-13)
    # The sum that Eq. 7 prints for I^(s) breaks the theorem.
    counts = torch.tensor([math.comb(players - 2, s) for s in range(players - 1)])
    printed = alone.sum(1) + 2 * (orders * counts * weights).sum((1, 2))
    assert ((printed - theorem).abs() > 0.1).all()


@pytest.mark.parametrize("players", [5, 9, 12])
def test_o_th_3_agrees_with_shapiq(players):
    import shapiq

    game = random_game(31, players, examples=1)
    table = game.table[0].numpy()
    codes = 2 ** torch.arange(players).numpy()

    def value(coalitions):
        return table[coalitions @ codes]

    computer = shapiq.ExactComputer(game=value, n_players=players)
    singles, pairs = computer("SV", order=1), computer("SII", order=2)
    ours = shapley_values(game).value[0]
    matrix = interaction_matrix(game).value[0]
    for a in range(players):
        assert ours[a].item() == pytest.approx(singles[(a,)], abs=1e-13)
    for a, b in all_pairs(players):
        assert matrix[a, b].item() == pytest.approx(pairs[(a, b)], abs=1e-13)


def test_o_th_4_a_dummy_player_interacts_with_nobody():
    players = 6
    small = random_game(41, players - 1).table
    # The last player adds 0.7 whatever the others do.
    game = TableGame(torch.cat([small, small + 0.7], 1))
    matrix = interaction_matrix(game).value
    assert matrix[:, -1].abs().max() < 1e-14
    assert matrix[:, 0, 1].abs().min() > 0
    assert torch.allclose(shapley_values(game).value[:, -1], torch.tensor(0.7).double(), atol=1e-14)


def test_o_th_4_symmetric_players_have_equal_rows():
    players, a, b = 6, 1, 4
    table = random_game(42, players).table
    codes = torch.arange(2**players)
    bit_a, bit_b = codes >> a & 1, codes >> b & 1
    swapped = codes - (bit_a << a) - (bit_b << b) + (bit_a << b) + (bit_b << a)
    game = TableGame(table + table[:, swapped])
    matrix = interaction_matrix(game).value
    others = [i for i in range(players) if i not in (a, b)]
    assert torch.allclose(matrix[:, a, others], matrix[:, b, others], rtol=0, atol=1e-14)
    values = shapley_values(game).value
    assert torch.allclose(values[:, a], values[:, b], rtol=0, atol=1e-14)


def test_o_th_4_efficiency_and_linearity():
    first, second = random_game(43, 8), random_game(44, 8)
    both = TableGame(2 * first.table - 3 * second.table)
    shares = shapley_values(first).value.sum(1)
    assert torch.allclose(shares, first.whole - first.empty, rtol=0, atol=1e-13)
    for quantity in (shapley_values, interaction_matrix, mean_interaction):
        expected = 2 * quantity(first).value - 3 * quantity(second).value
        assert torch.allclose(quantity(both).value, expected, rtol=0, atol=1e-13)


def test_the_mean_interaction_costs_2n_plus_2():
    game = random_game(51, 9)
    mean_interaction(game)
    assert game.rows == 2 * 9 * game.examples


def test_the_sets_factor_is_exact_for_a_quadratic_utility():
    players, cells = 5, 3
    game = random_quadratic(61, players)
    drawn = torch.tensor(list(itertools.product(range(players), repeat=cells)))
    sets = torch.zeros(len(drawn), players, dtype=torch.bool).scatter_(1, drawn, True)
    expected = mixed_difference(game, sets).mean(1)
    factor = sets_factor(players, cells)
    assert torch.allclose(expected, factor * sum_interaction(game).value, rtol=0, atol=1e-13)


def test_set_terms_of_everything_and_of_nothing_vanish():
    game = random_game(62, 5)
    sets = torch.tensor([[True] * 5, [False] * 5])
    assert mixed_difference(game, sets).abs().max() == 0
    assert set_interaction(game, draws(2), sets=4, cells=60).value.abs().max() == 0


def test_enumeration_asks_for_every_inner_coalition_once():
    game = random_game(63, 6)
    assert torch.equal(enumerate_values(game), game.table)
    assert game.rows == (2**6 - 2) * game.examples


def test_a_separable_utility_has_no_interaction():
    weights = normal(64, 2, 6)
    codes = torch.arange(64)
    table = ((codes[:, None] >> torch.arange(6) & 1) * weights[:, None]).sum(2)
    assert interaction_matrix(TableGame(table)).value.abs().max() < 1e-15
    assert mean_interaction(TableGame(table)).value.abs().max() < 1e-15
