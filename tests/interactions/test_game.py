"""Games on images: which points are asked, in passes of which size."""

import math

import pytest
import torch

from gauntlet.pipeline.interactions import (
    Grid,
    PerturbationGame,
    interaction_matrix,
    mean_interaction,
    sampled_mean_interaction,
    sampled_neighbour_map,
    sampled_order_interactions,
    sampled_pair_interactions,
    sampled_shapley_values,
    set_interaction,
    shapley_values,
)
from gauntlet.pipeline.interactions.mean_interaction import mixed_difference
from tests.toys.games import ReluNet, classes_batch, draws, perturbed, relu_game, uniform

SIDE = 6


def test_the_points_are_pixels_of_the_two_images():
    seen = []
    net = ReluNet(1, SIDE)

    def model(images):
        seen.append(images)
        return net(images)

    batch = classes_batch(2, SIDE)
    images = perturbed(batch)
    game = PerturbationGame(model, batch, images, grid=Grid(2, 2))
    seen.clear()
    sets = torch.tensor([[True, False, False, True]])
    game.values(sets)
    game.values(sets, complement=True)
    inside, outside = seen
    corner = (slice(None), slice(None), slice(3, None), slice(3, None))
    other = (slice(None), slice(None), slice(None, 3), slice(3, None))
    assert torch.equal(inside[corner], images[corner])
    assert torch.equal(inside[other], batch.images[other])
    assert torch.equal(inside + outside, batch.images + images)


def test_the_rest_of_a_floor_grid_is_perturbed_in_complements_only():
    batch = classes_batch(2, SIDE)
    images = perturbed(batch)
    clean = ReluNet(1, SIDE)
    game = PerturbationGame(clean, batch, images, grid=Grid(4, 4, "floor"))
    everyone, nobody = torch.ones(1, 16).bool(), torch.zeros(1, 16).bool()
    assert torch.equal(game.values(nobody, complement=True)[:, 0], game.whole)
    covered = batch.images.clone()
    covered[:, :, :4, :4] = images[:, :, :4, :4]
    part = PerturbationGame(clean, batch, covered, grid=Grid(4, 4, "floor"))
    assert torch.equal(game.values(everyone)[:, 0], part.whole)
    assert not torch.equal(game.values(everyone)[:, 0], game.whole)
    # Its mean interaction is the official code's: Omega minus a keeps the rest.
    rows = mixed_difference(game, torch.eye(16).bool())
    assert torch.allclose(mean_interaction(game).value, rows.mean(1) / 15)


@pytest.mark.parametrize(
    "estimator",
    [
        lambda game, d: shapley_values(game),
        lambda game, d: interaction_matrix(game),
        lambda game, d: sampled_shapley_values(game, d, 4),
        lambda game, d: sampled_pair_interactions(game, [(0, 1)], d, 4),
        lambda game, d: sampled_order_interactions(game, [0], d, 4),
        lambda game, d: sampled_neighbour_map(game, game.grid, d, 4),
    ],
)
def test_quantities_of_whole_games_refuse_a_grid_with_a_rest(estimator):
    game = relu_game(grid=Grid(2, 4, "floor"))
    with pytest.raises(ValueError, match="belong to no cell"):
        estimator(game, draws(3))


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_no_call_exceeds_the_rows_of_a_pass(rows):
    game = relu_game(rows_per_pass=rows)
    net = game._model
    assert isinstance(net, ReluNet)
    mean_interaction(game)
    set_interaction(game, draws(3), sets=5, cells=3)
    sampled_pair_interactions(game, [(0, 4)], draws(3), 6)
    assert max(net.calls) <= rows
    assert sum(net.calls) == game.evaluations == 3 * (2 + 18 + 10 + 24)
    whole_passes = [count for count in net.calls if count == rows]
    assert rows == 64 or len(whole_passes) > 10


def test_the_rows_of_a_pass_change_nothing():
    values = [
        sampled_mean_interaction(relu_game(rows_per_pass=rows), draws(3), 5)
        for rows in (1, 10, 1000)
    ]
    for other in values[1:]:
        assert torch.allclose(other.value, values[0].value, rtol=0, atol=1e-14)


def everything(game, d):
    return [
        mean_interaction(game),
        sampled_mean_interaction(game, d, 4),
        set_interaction(game, d, 6, 3),
        shapley_values(game),
        sampled_shapley_values(game, d, 6),
        interaction_matrix(game),
        sampled_pair_interactions(game, [(0, 1), (2, 5)], d, 6),
        sampled_order_interactions(game, [0, 3], d, 5),
        sampled_neighbour_map(game, Grid(3, 3), d, 4),
    ]


def test_trap_02_no_quantity_depends_on_the_batch():
    batch, net = classes_batch(3, SIDE), ReluNet(3, SIDE)
    images, streams = perturbed(batch), draws(3)

    def play(index):
        part = PerturbationGame(net, batch.rows(index), images[index], grid=Grid(3, 3))
        return everything(part, streams.rows(index))

    together = play(torch.arange(3))
    alone = [play(torch.tensor([i])) for i in range(3)]
    for i, quantities in enumerate(alone):
        for one, all_of_them in zip(quantities, together, strict=True):
            assert torch.allclose(one.value[0], all_of_them.value[i], rtol=0, atol=1e-13)
            assert torch.allclose(
                one.standard_error[0], all_of_them.standard_error[i], rtol=0, atol=1e-13
            )


def test_trap_01_a_non_finite_answer_marks_its_example_only():
    net = ReluNet(3, SIDE)
    batch = classes_batch(3, SIDE)
    images = perturbed(batch)

    def model(points):
        outputs = net(points)
        # Example 1 overflows wherever its first pixel is perturbed.
        bad = points[:, 0, 0, 0] == images[1, 0, 0, 0]
        return outputs.masked_fill(bad[:, None], math.nan)

    game = PerturbationGame(model, batch, images, grid=Grid(3, 3))
    clean = PerturbationGame(net, batch, images, grid=Grid(3, 3))
    for marked, right in zip(everything(game, draws(3)), everything(clean, draws(3)), strict=True):
        assert marked.finite.tolist() == [True, False, True]
        assert marked.value[1].isnan().any()
        assert right.finite.all()
        for i in (0, 2):
            assert torch.equal(marked.value[i], right.value[i])


def test_infinities_become_flagged_nan():
    batch = classes_batch(1, SIDE)

    def model(points):
        logits = torch.zeros(len(points), 3, dtype=torch.float64)
        logits[:, 0] = -torch.inf
        return logits

    game = PerturbationGame(model, batch, perturbed(batch), grid=Grid(2, 2), utility="margin")
    found = mean_interaction(game)
    assert found.finite.tolist() == [False]
    assert found.value.isnan().all()


def test_nothing_is_recorded_for_gradients():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(108, 3)).double()
    batch = classes_batch(2, SIDE, classes=3)
    images = perturbed(batch).requires_grad_()
    game = PerturbationGame(net, batch, images, grid=Grid(2, 2))
    assert not mean_interaction(game).value.requires_grad
    assert not game.whole.requires_grad
    assert images.grad is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": uniform(0, 2, 3, 5, 6)}, r"\(2, 3, 6, 6\), got \(2, 3, 5, 6\)"),
        ({"rows_per_pass": 0}, "rows_per_pass must be at least 1, got 0"),
        ({"grid": Grid(7, 2)}, "coarser grid"),
        ({"model": lambda x: x}, r"must give \(2, C\) outputs for 2 images, got \(2, 3, 6, 6\)"),
        ({"model": lambda x: x.flatten(1)[:1]}, r"must give \(2, C\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    batch = classes_batch(2, SIDE)
    given = {"model": ReluNet(1, SIDE), "images": batch.images, "grid": Grid(2, 2), **changes}
    with pytest.raises(ValueError, match=message):
        PerturbationGame(given.pop("model"), batch, given.pop("images"), **given)
