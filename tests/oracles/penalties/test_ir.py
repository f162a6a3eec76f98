"""Oracle tests of IR (specification 2.8)."""

from itertools import product

import pytest
import torch
from torch import nn

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.penalties.cell_sets import perturbed, single_cells, unions
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.interactions.scales import lambda_scale, sets_factor
from tests.toys.penalties import answer, moved, one_image, with_sets
from tests.toys.surrogates import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    recipe,
    run_float,
    scalar_batch,
)


def every_draw(n, m):
    """The unions of all n^m ordered draws of m cells."""
    return [[cell in draw for cell in range(n)] for draw in product(range(n), repeat=m)]


@pytest.mark.parametrize("token", ["ir", "ir-mean"])
def test_o_ir_1_at_the_clean_image_the_gradient_is_the_base_s(token):
    batch, net = class_batch(images(4)), SmallNet(0)
    plain = answer(Attack(), batch, net, batch.images)
    found = answer(Attack(base=token, options={token: {"grid": 8}}), batch, net, batch.images)
    off = (found.gradient - plain.gradient).abs().flatten(1).sum(1)
    assert (off < 1e-9 * plain.gradient.abs().flatten(1).sum(1)).all()
    assert torch.allclose(found.values, plain.values, atol=1e-9)


@pytest.mark.parametrize("base", ["i", "pgd-mi", "ti", "vr"])
@pytest.mark.parametrize(("token", "weight"), [("ir", "lambda_code"), ("ir-mean", "lambda_mean")])
def test_o_ir_2_without_weight_it_is_the_base(base, token, weight):
    batch, net = class_batch(images(3)), SmallNet(0)
    options = {"vr": {"m": 2}} if base == "vr" else {}
    given = {"steps": 3, "name": "same draws"}
    plain = run_float(Attack(base=base, options=options, **given), batch, [net]).images
    small = {weight: 0, "grid": 4}
    reduced = Attack(base=f"{base}+{token}", options={**options, token: small}, **given)
    assert torch.equal(plain, run_float(reduced, batch, [net]).images)


@pytest.mark.parametrize("member", [True, False])
def test_o_ir_3_all_cells_or_none_give_no_interaction(member):
    batch, net = class_batch(images(3)), SmallNet(0)
    points = moved(batch.images)
    plain = answer(Attack(), batch, net, points)
    found = answer(with_sets([[member] * 16], 4), batch, net, points)
    assert torch.allclose(found.gradient, plain.gradient, atol=1e-14)
    assert torch.allclose(found.values, plain.values, atol=1e-14)


def test_o_ir_4_single_cells_give_twice_the_cross_cell_hessian():
    batch, curved = one_image()
    points, n = moved(batch.images), 16
    delta = points - batch.images
    options = {"ir-mean": {"grid": 4, "lambda_mean": n * (n - 1)}}
    found = answer(recipe(base="ir-mean", options=options), batch, curved.module, points)
    hessian = curved.hessian - 2 * curved.apart(4)
    assert torch.allclose(found.gradient, curved.gradient(delta, hessian), atol=1e-12)


@pytest.mark.parametrize(("grid", "m"), [(2, 3), (3, 2)])
def test_o_ir_5_the_right_weight_cancels_all_cross_cell_curvature(grid, m):
    batch, curved = one_image((3, 6, 6))
    points, n = moved(batch.images), grid**2
    delta = points - batch.images
    weight = 1 / (2 * sets_factor(n, m))
    given = with_sets(every_draw(n, m), grid, lambda_code=weight, objective="logit")
    found = answer(given, batch, curved.module, points)
    hessian = curved.hessian - curved.apart(grid)
    assert torch.allclose(found.gradient, curved.gradient(delta, hessian), atol=1e-12)
    value = delta.flatten() @ curved.slope + 0.5 * delta.flatten() @ hessian @ delta.flatten()
    assert torch.allclose(found.values, value, atol=1e-12)
    assert 1 / (2 * sets_factor(256, 32)) == pytest.approx(4.796, abs=1e-3)


@pytest.mark.parametrize("grid", [2, 3])
def test_the_two_scales_of_lambda_agree_on_a_quadratic_utility(grid):
    batch, curved = one_image((3, 6, 6))
    points, n, m = moved(batch.images), grid**2, 2
    code = with_sets(every_draw(n, m), grid, lambda_code=0.7, objective="logit")
    mean = recipe(
        base="ir-mean",
        options={"ir-mean": {"grid": grid, "lambda_mean": 0.7 * lambda_scale(n, m)}},
    )
    one, other = (answer(given, batch, curved.module, points) for given in (code, mean))
    assert torch.allclose(one.gradient, other.gradient, atol=1e-12)
    assert torch.allclose(one.values, other.values, atol=1e-12)
    assert lambda_scale(256, 32) == pytest.approx(6805, abs=1)


@pytest.mark.parametrize("token", ["ir", "ir-mean"])
def test_o_ir_6_a_sum_over_cells_has_no_interactions(token):
    batch, grid = scalar_batch(images(2)), Grid(4, 4)
    cells = torch.nn.functional.one_hot(grid.labels(8, 8)).to(torch.float64)
    module = Scalar(lambda x: torch.einsum("bchw,hwn->bn", (3 * x).sin(), cells).exp().sum(1))
    points = moved(batch.images)
    plain = answer(recipe(), batch, module, points)
    found = answer(recipe(base=token, options={token: {"grid": 4}}), batch, module, points)
    scale = plain.values.abs().max()
    assert (found.values - plain.values).abs().max() < 1e-9 * scale
    assert torch.allclose(found.gradient, plain.gradient, atol=float(1e-9 * scale))


def test_o_ir_7_cells_may_change_their_names():
    batch, net = class_batch(images(2, shape=(3, 6, 6))), SmallNet(0)
    points, draws = moved(batch.images), every_draw(4, 3)
    order = [2, 0, 3, 1]
    renamed = [[union[cell] for cell in order] for union in draws]
    assert renamed != draws
    one, other = (
        answer(with_sets(sets, 2, lambda_code=5.0), batch, net, points) for sets in (draws, renamed)
    )
    assert torch.allclose(one.gradient, other.gradient, atol=1e-12)


def brute_force(net, batch, points, grid):
    """The mean interaction of each example by Eq. 12, margin of the attacker, one by one."""
    labels = Grid(grid, grid).labels(*points.shape[2:])
    n, goal = grid**2, batch.goal
    found = []
    for row in range(len(points)):
        clean, delta = batch.images[row], points[row] - batch.images[row]
        about = int((batch.wanted if goal is Goal.TARGETED else batch.labels)[row])

        def logits(mask, clean=clean, delta=delta):
            with torch.no_grad():
                return net((clean + mask * delta)[None])[0]

        whole = logits(torch.ones_like(labels))
        rival = int(whole.index_fill(0, torch.tensor(about), -torch.inf).argmax())
        sign = 1 if goal is Goal.TARGETED else -1

        def value(mask, logits=logits, about=about, rival=rival, sign=sign):
            outputs = logits(mask)
            return float(sign * (outputs[about] - outputs[rival]))

        everything = value(torch.ones_like(labels)) + value(torch.zeros_like(labels))
        total = sum(
            everything - value((labels != a).long()) - value((labels == a).long()) for a in range(n)
        )
        found.append(total / (n * (n - 1)))
    return torch.tensor(found)


@pytest.mark.parametrize("goal", [Goal.UNTARGETED, Goal.TARGETED])
def test_trap_06_more_weight_lowers_the_interaction_of_every_example(goal):
    batch, net = class_batch(images(6, shape=(3, 16, 16))), SmallNet(0)
    if goal is Goal.TARGETED:
        assert batch.labels is not None
        wanted = (batch.labels + 1) % 4
        batch = Batch(batch.ids, batch.images, goal, labels=batch.labels, wanted=wanted)
    sizes = []
    for weight in (0, 4, 16):
        options = {"ir": {"grid": 4, "sets": 16, "cells": 4, "lambda_code": weight}}
        given = Attack(base="ir", options=options, epsilon="16/255")
        found = run_float(given, batch, [net]).images
        sizes.append(brute_force(net, batch, found, 4))
    assert (sizes[1] < sizes[0]).all()
    assert (sizes[2] < sizes[1]).all()


@pytest.mark.parametrize("goal", [Goal.UNTARGETED, Goal.TARGETED])
@pytest.mark.parametrize("utility", ["margin", "margin-anew", "loss"])
def test_the_penalty_is_the_one_written_out(goal, utility):
    batch, net = class_batch(images(3)), SmallNet(0, gain=3.0)
    labels = batch.labels
    assert labels is not None
    wanted = (labels + 2) % 4
    batch = Batch(batch.ids, batch.images, goal, labels=labels, wanted=wanted)
    about = wanted if goal is Goal.TARGETED else labels
    sign = 1 if goal is Goal.TARGETED else -1
    leaf = moved(batch.images, 0.3).requires_grad_()
    rows, rival = torch.arange(3), None

    def best_other(outputs):
        return outputs.scatter(1, about[:, None], -torch.inf).argmax(1)

    def loss(outputs):
        return -sign * nn.functional.cross_entropy(outputs, about, reduction="none")

    def value(points):
        outputs = net(points)
        if utility == "loss":
            return loss(outputs)
        other = rival if utility == "margin" else best_other(outputs)
        return sign * (outputs[rows, about] - outputs[rows, other])

    rival = best_other(net(leaf))
    assert not torch.equal(rival, best_other(net(batch.images)))  # fixed and chosen anew differ
    labels = Grid(4, 4).labels(8, 8)
    total = 0
    for cells in ([1, 2, 7], [0, 15]):
        inside = torch.isin(labels, torch.tensor(cells))
        delta = leaf - batch.images
        part, rest = batch.images + inside * delta, batch.images + ~inside * delta
        total = total + value(leaf) - value(rest) - value(part) + value(batch.images)
    raised = loss(net(leaf)) - 1.5 * total / 2
    (expected,) = torch.autograd.grad(raised.sum(), leaf)
    members = [[cell in cells for cell in range(16)] for cells in ([1, 2, 7], [0, 15])]
    given = with_sets(members, 4, lambda_code=1.5, utility=utility)
    found = answer(given, batch, net, leaf.detach())
    assert torch.allclose(found.values, raised.detach(), atol=1e-12)
    assert torch.allclose(found.gradient, expected, atol=1e-12)


def test_sets_are_drawn_per_row_as_the_paper_s_code_draws_them():
    draws = Draws.keyed(0, [str(i) for i in range(300)])
    drawn = unions(draws, 256, 32, 32, torch.device("cpu"))
    size = drawn.sum(2).double()
    assert drawn.shape == (300, 32, 256)
    assert float(size.mean()) == pytest.approx(256 * (1 - (255 / 256) ** 32), rel=2e-3)  # 30.1
    assert not torch.equal(drawn[0], drawn[1])
    ones = single_cells(draws, 9, 4, torch.device("cpu"))
    assert (ones.sum(2) == 1).all()  # one cell each ...
    assert (ones.sum(1) <= 1).all()  # ... and none twice
    assert ones.any(1).double().mean(0) == pytest.approx(torch.full((9,), 4 / 9), abs=0.09)


@pytest.mark.parametrize("borders", ["round", "floor"])
@pytest.mark.parametrize("room", [1, 3, 100])
def test_a_set_and_its_complement_share_out_the_perturbation(borders, room):
    clean, grid = images(2, shape=(3, 11, 11)), Grid(4, 4, borders)
    points = moved(clean)
    sets = unions(Draws.keyed(0, ["a", "b"]), 16, 5, 3, clean.device)
    found = torch.cat(list(perturbed(points, clean, sets, grid, room))).unflatten(0, (10, 2))
    for index, row in product(range(5), range(2)):
        inside, outside = (found[5 * half + index, row] != clean[row] for half in (0, 1))
        assert torch.equal(inside, ~outside)
        assert torch.equal(inside[0], grid.masks(sets[row, index], 11, 11, torch.bool, "cpu")[0])
        assert bool(inside[:, 8:].any() or inside[:, :, 8:].any()) == bool(
            borders == "round" and (sets[row, index].reshape(4, 4)[3].any()
                                    or sets[row, index].reshape(4, 4)[:, 3].any())
        )  # fmt: skip
