"""What a run measures, and how it is configured."""

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions import (
    Grid,
    InteractionSpec,
    PerturbationGame,
    curvature,
    mean_interaction,
    measure,
    sampled_mean_interaction,
    sampled_neighbour_map,
    sampled_order_interactions,
    self_terms,
)
from tests.toys.games import ReluNet, classes_batch, names, perturbed, uniform

SIDE = 6
RUN: dict[str, Any] = {"seed": 3, "model_name": "m", "rows_per_pass": 16}


def measured(batch=None, images=None, net=None, run=RUN, **fields):
    batch = batch or classes_batch(3, SIDE)
    images = perturbed(batch) if images is None else images
    return measure(
        net or ReluNet(3, SIDE), batch, images, InteractionSpec(**{"grid": 3, **fields}), **run
    )


def game(batch, utility="auto"):
    return PerturbationGame(
        ReluNet(3, SIDE), batch, perturbed(batch), grid=Grid(3, 3), utility=utility
    )


def test_the_default_is_the_exact_mean_of_the_loss_on_16_by_16_cells():
    net = ReluNet(3, 16)
    batch = classes_batch(2, 16)
    images = perturbed(batch)
    found = measure(net, batch, images, InteractionSpec(), **RUN)
    expected = mean_interaction(PerturbationGame(net, batch, images, grid=Grid(16, 16)))
    assert torch.allclose(found.mean, expected.value, rtol=0, atol=1e-15)
    assert found.cells == 256
    assert found.utility == "loss"
    assert found.evaluations == 2 * (2 * 256 + 2)
    assert found.standard_error.tolist() == found.empty.tolist() == [0, 0]
    assert found.closed_form is None
    assert found.orders.shape == (2, 0)
    assert found.finite.all()


def test_sampled_means_and_orders():
    batch = classes_batch(3, SIDE)
    found = measured(
        estimator="sampled", samples=4, utility="margin", orders=(2, 0), order_samples=7
    )
    own = game(batch, "margin")
    draws = Draws.keyed(3, batch.ids, model="m")
    mean = sampled_mean_interaction(own, draws, 4)
    orders = sampled_order_interactions(own, (2, 0), draws, 7)
    assert torch.allclose(found.mean, mean.value, rtol=0, atol=1e-14)
    assert torch.allclose(found.standard_error, mean.standard_error, rtol=0, atol=1e-14)
    assert torch.allclose(found.orders, orders.value, rtol=0, atol=1e-14)
    assert torch.allclose(found.orders_standard_error, orders.standard_error, rtol=0, atol=1e-14)
    assert torch.equal(found.total, own.whole)
    assert torch.equal(found.empty, own.empty)
    assert found.evaluations == 3 * (2 + 2 * 4 + 2 * 4 * 7)


def test_draws_depend_on_seed_and_model_only():
    sampled = {"estimator": "sampled", "samples": 3}
    first = measured(**sampled).mean
    assert torch.equal(measured(**sampled).mean, first)
    for change in ({"seed": 4}, {"model_name": "other"}):
        assert not torch.equal(measured(run={**RUN, **change}, **sampled).mean, first)
    assert torch.allclose(measured(run={**RUN, "rows_per_pass": 5}, **sampled).mean, first)


@pytest.mark.parametrize("at", ["clean", "adversarial"])
@pytest.mark.parametrize("terms", ["kept", "removed"])
def test_the_closed_form_as_a_mean_over_pairs(at, terms):
    batch, net = classes_batch(3, SIDE), ReluNet(3, SIDE)
    images = perturbed(batch)
    found = measured(closed_form=True, curvature_at=at, self_terms=terms)
    point = batch.images if at == "clean" else images
    expected = curvature(net, point, images - batch.images)
    rows = 1
    if terms == "removed":
        expected = expected - self_terms(net, point, images - batch.images, Grid(3, 3))
        rows += 9
    assert torch.allclose(found.closed_form, expected / 72, rtol=1e-12, atol=0)
    assert found.evaluations == 3 * (2 + 18 + rows)


@pytest.mark.parametrize("goal", [Goal.UNTARGETED, Goal.TARGETED])
def test_small_perturbations_have_the_interaction_of_the_closed_form(goal):
    batch = classes_batch(3, SIDE)
    if goal is Goal.TARGETED:
        assert batch.labels is not None
        batch = Batch(batch.ids, batch.images, goal, wanted=(batch.labels + 1) % 5)
    images = batch.images + 1e-4 * (perturbed(batch) - batch.images)
    found = measured(batch, images, closed_form=True, self_terms="removed")
    assert torch.allclose(found.closed_form, found.mean, rtol=2e-3, atol=0)
    assert (found.mean.abs() > 1e-14).all()


def test_faces_are_measured_by_similarity():
    images = uniform(0, 2, 3, SIDE, SIDE)
    batch = Batch(names(2), images, Goal.DODGING, references=uniform(1, 2, 3, SIDE, SIDE))
    found = measured(batch, perturbed(batch))
    assert found.utility == "similarity"
    assert torch.allclose(found.mean, mean_interaction(game(batch)).value, rtol=0, atol=1e-15)
    assert found.evaluations == 2 * (3 + 18)
    with pytest.raises(ValueError, match="curvature of the cross-entropy; goal 'dodging'"):
        measured(batch, perturbed(batch), closed_form=True)
    with pytest.raises(ValueError, match="'margin' needs classes"):
        measured(batch, perturbed(batch), utility="margin")


def test_trap_01_non_finite_examples_are_flagged():
    batch, net = classes_batch(3, SIDE), ReluNet(3, SIDE)
    images = perturbed(batch)

    def model(points):
        bad = points[:, 0, -1, -1] == images[2, 0, -1, -1]
        return net(points).masked_fill(bad[:, None], math.inf)

    found = measured(batch, images, model, orders=[1], closed_form=True)
    assert found.finite.tolist() == [True, True, False]
    for values in (found.mean, found.standard_error, found.total, found.orders[:, 0]):
        assert values.isnan().tolist() == [False, False, True]
    assert found.closed_form.isfinite().all()
    later = measured(batch, images, model, closed_form=True, curvature_at="adversarial")
    assert later.closed_form.isnan().tolist() == [False, False, True]


def test_grids_may_be_oblong_and_leave_a_rest():
    batch, net = classes_batch(2, 7), ReluNet(3, 7)
    images = perturbed(batch)
    spec = InteractionSpec(grid=[2, 3], borders="floor")
    found = measure(net, batch, images, spec, **RUN)
    expected = PerturbationGame(net, batch, images, grid=Grid(2, 3, "floor"))
    assert torch.allclose(found.mean, mean_interaction(expected).value, rtol=0, atol=1e-15)
    rounded = measure(net, batch, images, InteractionSpec(grid=[2, 3]), **RUN)
    assert not torch.allclose(found.mean, rounded.mean)


def test_sampled_defaults():
    assert InteractionSpec(estimator="sampled").drawn_cells == 32
    assert InteractionSpec(estimator="sampled", grid=3).drawn_cells == 9
    assert InteractionSpec(orders=[0]).drawn_contexts == 256


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"grid": 1}, "at least two cells"),
        ({"grid": 0}, "at least one row"),
        ({"samples": 4}, "only for `estimator: sampled`"),
        ({"estimator": "sampled", "samples": 1}, "greater than or equal to 2"),
        ({"estimator": "sampled", "samples": 10}, "the grid has 9 cells, got 10"),
        ({"orders": [8]}, "from 0 to 7"),
        ({"orders": [1, 1]}, "different numbers"),
        ({"order_samples": 5}, "needs `orders`"),
        ({"closed_form": True, "utility": "margin"}, "not of utility 'margin'"),
        ({"self_terms": "removed"}, "need `closed_form: true`"),
        ({"curvature_at": "adversarial"}, "need `closed_form: true`"),
        ({"utility": "logit"}, "'margin-fixed' or 'similarity'"),
        ({"cells": 4}, "Extra inputs"),
    ],
)
def test_bad_specs_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        InteractionSpec(**{"grid": 3, **fields})


def test_every_field_is_documented():
    assert all(field.description for field in InteractionSpec.model_fields.values())


def test_a_neighbour_map_is_the_estimators():
    batch = classes_batch(2, SIDE)
    found = measured(batch, neighbours=4, neighbour_samples=8)
    draws = Draws.keyed(RUN["seed"], batch.ids, model=RUN["model_name"])
    expected = sampled_neighbour_map(game(batch), Grid(3, 3), draws, 8)
    assert torch.equal(found.neighbours, expected.value.flatten(1))
    assert torch.equal(found.neighbours_standard_error, expected.standard_error.flatten(1))
    assert measured(batch).neighbours is None
    with pytest.raises(ValidationError, match="needs `neighbours`"):
        InteractionSpec(neighbour_samples=8)


def test_perturbations_are_compared_at_one_norm():
    batch = classes_batch(3, SIDE)
    images = perturbed(batch)
    shrunk = batch.images + 0.3 * (images - batch.images)
    one, other = (measured(batch, given, scale_to="4/255") for given in (images, shrunk))
    assert torch.allclose(one.mean, other.mean, rtol=1e-9)
    delta = images - batch.images
    size = delta.square().mean((1, 2, 3), keepdim=True).sqrt()
    by_hand = measured(batch, batch.images + 4 / 255 * delta / size)
    assert torch.allclose(one.mean, by_hand.mean, rtol=1e-9)
    assert not torch.allclose(one.mean, measured(batch, images).mean, rtol=1e-3)
    assert measured(batch, batch.images, scale_to="4/255").mean.abs().max() < 1e-15
