"""Oracle tests of spec. 2.8: the interaction-reduced attack, its relatives, and their options."""

from itertools import product

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import cosine_similarity, normalize

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.part import catalogue
from gauntlet.pipeline.attacks.penalties.coalitions import perturbed, single_cells, unions
from gauntlet.pipeline.attacks.penalties.interaction import InteractionPenalty
from gauntlet.pipeline.attacks.penalties.ir import SetInteractions
from gauntlet.pipeline.attacks.penalties.ir_closed import ClosedForm
from gauntlet.pipeline.attacks.surgery.sgm import SkipGradient
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.interactions.scales import lambda_scale, sets_factor
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.oracle import InProcessOracle
from tests.attacks.toys import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    names,
    recipe,
    run_float,
    scalar_batch,
    vectors,
)

TOKENS = ("ir", "ir-mean", "ir-closed", "interaction-only")
SMALL = {"grid": 4, "sets": 3, "cells": 4}


def answer(attack, batch, module, points, *, step=0, rows_per_pass=256):
    """The answer of one surrogate to an attack's query at some points."""
    method = attack.method(batch.goal, batch.images[0].numel())
    setting = Setting(batch, method.query, 0, attack.label, step)
    model = adapt(module, name="m0")
    asked = InProcessOracle([model], rows_per_pass=rows_per_pass)
    return asked.gradients(setting, [Question(0, points)])[0]


def moved(clean, size=0.05, seed=9):
    return clean + size * vectors(len(clean), seed, clean.shape[1:])


class Curved:
    """Loss = g.delta + delta^T H delta / 2 of each image, delta from its own clean image."""

    def __init__(self, clean, seed=3):
        generator = torch.Generator().manual_seed(seed)
        self.clean = clean
        size = clean[0].numel()
        drawn = torch.randn(size, size, generator=generator, dtype=torch.float64)
        self.hessian = (drawn + drawn.T) / size**0.5
        self.slope = torch.randn(size, generator=generator, dtype=torch.float64)
        self.module = Scalar(self)

    def __call__(self, points):
        delta = (points - self.clean[:1]).flatten(1)
        return delta @ self.slope + 0.5 * (delta @ self.hessian * delta).sum(1)

    def apart(self, grid):
        """H with the blocks inside cells set to zero."""
        labels = Grid(grid, grid).labels(*self.clean.shape[2:])
        cell = labels.expand(3, -1, -1).flatten()
        return self.hessian.masked_fill(cell[:, None] == cell, 0.0)

    def gradient(self, delta, hessian):
        return (self.slope + delta.flatten(1) @ hessian).reshape(delta.shape)


def one_image(shape=(3, 8, 8)):
    clean = images(1, shape=shape)
    return scalar_batch(clean), Curved(clean)


class Given(SetInteractions):
    """IR with sets that a test names instead of drawn ones."""

    members: tuple[tuple[bool, ...], ...]

    def coalitions(self, draws, device):
        return torch.tensor(self.members).expand(len(draws), -1, -1)


def with_sets(members, grid, *, objective=None, **fields):
    part = Given(members=tuple(map(tuple, members)), grid=grid, **fields)
    return Attack(base="ir", options={"ir": part}, objective=objective)


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


@pytest.mark.parametrize("token", TOKENS)
def test_trap_02_penalties_do_not_see_the_batch(token):
    batch, net = class_batch(images(5, shape=(3, 12, 12))), SmallNet(0)
    options = {} if token == "ir-closed" else {token: {"grid": 4}}
    # Not the sign: where the network is nearly linear it would amplify the last bit (trap 3).
    given = Attack(base=f"pgd-mi+{token}", options=options, steps=3, normalise="l2rms")
    together = run_float(given, batch, [net, SmallNet(1)]).images
    for rows in ([0], [3, 1], [4, 2]):
        index = torch.tensor(rows)
        alone = run_float(given, batch.rows(index), [net, SmallNet(1)]).images
        assert torch.allclose(together[index], alone, atol=1e-9), rows


@pytest.mark.parametrize("base", ["ir", "vr+ir", "ir-mean", "pgd+interaction-only"])
@pytest.mark.parametrize("noise", ["noisy", "clean-sum"])
def test_the_size_of_the_passes_does_not_change_the_answer(base, noise):
    token = base.split("+")[-1]
    options = {token: {"grid": 4}}
    if noise == "clean-sum":
        if base != "vr+ir":
            return
        options["ir"]["noise"] = noise
    if base == "vr+ir":
        options["vr"] = {"m": 3}
    batch, net = class_batch(images(3)), SmallNet(0)
    given, points = Attack(base=base, options=options), moved(batch.images)
    large = answer(given, batch, net, points, rows_per_pass=10_000)
    for rows in (1, 7, 20):
        found = answer(given, batch, net, points, rows_per_pass=rows)
        assert torch.allclose(found.gradient, large.gradient, atol=1e-12), rows
        assert torch.allclose(found.values, large.values, atol=1e-12), rows


@pytest.mark.parametrize("goal", [Goal.UNTARGETED, Goal.TARGETED])
@pytest.mark.parametrize("utility", ["margin", "margin-anew", "loss"])
def test_the_penalty_is_the_one_written_out(goal, utility):
    batch, net = class_batch(images(3)), SmallNet(0, gain=3.0)
    wanted = (batch.labels + 2) % 4
    batch = Batch(batch.ids, batch.images, goal, labels=batch.labels, wanted=wanted)
    about = wanted if goal is Goal.TARGETED else batch.labels
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


class Noisy:
    """VR+IR written out with `ir-mean` over all cells, which draws nothing."""

    def __init__(self, sigma, m, noise, weight):
        self.batch, self.net = class_batch(images(2)), SmallNet(0)
        self.points = moved(self.batch.images)
        options = {
            "vr": {"sigma": sigma, "m": m},
            "ir-mean": {"grid": 4, "lambda_mean": weight, "noise": noise},
        }
        self.attack = Attack(base="vr+ir-mean", options=options, name="x")

    def ask(self, attack, **fields):
        return answer(attack, self.batch, self.net, self.points, **fields)

    def other(self, base, **options):
        return self.ask(Attack(base=base, options=options, name="x"))


def test_o_vrir_1_without_noise_both_forms_are_ir():
    for noise, m, factor in (("noisy", 3, 1), ("clean-sum", 1, 1), ("clean-sum", 3, 3)):
        case = Noisy(0, m, noise, 50.0)
        plain = case.other("ir-mean", **{"ir-mean": {"grid": 4, "lambda_mean": 50.0 / factor}})
        for rows in (2, 5, 256):
            found = case.ask(case.attack, rows_per_pass=rows)
            assert torch.allclose(found.gradient, factor * plain.gradient, atol=1e-12)
            assert torch.allclose(found.values, factor * plain.values, atol=1e-12)


def test_the_official_form_adds_noise_to_the_objective_only():
    case = Noisy(0.1, 3, "clean-sum", 50.0)
    reduced = case.other("ir-mean", **{"ir-mean": {"grid": 4, "lambda_mean": 50.0}})
    smooth = case.other("vr", vr={"sigma": 0.1, "m": 3})
    expected = 3 * smooth.gradient + reduced.gradient - case.other("i").gradient
    for rows in (2, 5, 256):
        found = case.ask(case.attack, rows_per_pass=rows)
        assert torch.allclose(found.gradient, expected, atol=1e-12)
    noisy = Noisy(0.1, 3, "noisy", 50.0)
    assert not torch.allclose(noisy.ask(noisy.attack).gradient, expected / 3, atol=1e-3)


class Counting(SmallNet):
    seen: list[int]

    def forward(self, x):
        self.seen.append(len(x))
        return super().forward(x)


@pytest.mark.parametrize(
    ("base", "options", "rows"),
    [
        ("ir", {"sets": 32}, 65),  # one at x + delta, 32 sets and their complements
        ("vr+ir", {"sets": 32}, 5 * 66),  # v(empty) changes with the noise
        ("vr+ir", {"sets": 32, "noise": "clean-sum"}, 5 + 65),
        ("ir-mean", {"samples": 8}, 17),
    ],
)
def test_no_pass_is_made_twice(base, options, rows):
    seen = Counting.seen = []
    batch, net = class_batch(images(2)), Counting(0)
    token = base.split("+")[-1]
    given = {token: {"grid": 4, **options}} | ({"vr": {"m": 5}} if "vr" in base else {})
    method = Attack(base=base, options=given).method(batch.goal, 192)
    asked = InProcessOracle([adapt(net, name="m0")], rows_per_pass=256)
    for step in (0, 1):
        setting = Setting(batch, method.query, 0, "x", step)
        asked.gradients(setting, [Question(0, batch.images)])
    assert sum(seen) == 2 * (1 + 2 * rows)  # the clean outputs once in all
    assert max(seen) <= 256


def test_o_io_1_at_the_clean_image_nothing_moves():
    batch, net = class_batch(images(3)), SmallNet(0)

    def found(base, **options):
        given = {"interaction-only": {"grid": 4, **options}}
        return run_float(Attack(base=base, options=given, steps=4), batch, [net]).images

    still = found("interaction-only", official_start=True)
    assert torch.equal(still, batch.images)
    noise = found("interaction-only", official_start=True, guard=False)
    assert not torch.equal(noise, batch.images)
    start = run_float(Attack(base="pgd", steps=0, step_size=1), batch, [net]).images
    away = found("pgd+interaction-only")
    assert ((away - start).abs().amax((1, 2, 3)) > 1e-3).all()


def test_the_interaction_alone_is_what_ir_subtracts():
    batch, net = class_batch(images(3)), SmallNet(0)
    points, given = moved(batch.images), {"name": "same draws"}
    alone = Attack(base="pgd+interaction-only", options={"interaction-only": SMALL}, **given)
    ir = Attack(base="pgd+ir", options={"ir": SMALL}, **given)
    plain = answer(Attack(**given), batch, net, points)
    both, term = (answer(attack, batch, net, points) for attack in (ir, alone))
    assert torch.allclose(both.gradient, plain.gradient + term.gradient, atol=1e-12)
    assert torch.allclose(both.values, plain.values + term.values, atol=1e-12)


class ReluNet(nn.Module):
    """A piecewise-linear network."""

    def __init__(self, seed=0, classes=4, size=192):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        drawn = (
            torch.randn(*s, generator=generator) for s in ((40, size), (40, 40), (classes, 40))
        )
        self.layers = nn.ParameterList([w.double() / w.shape[1] ** 0.5 for w in drawn])

    def forward(self, images):
        hidden = 3 * (images - 0.5).flatten(1)
        for weights in list(self.layers)[:-1]:
            hidden = 2 * (hidden @ weights.T).relu()
        return hidden @ self.layers[-1].T


def goal_batch(goal, count=3):
    clean, labels = images(count), torch.arange(count) % 4
    return Batch(names(count), clean, goal, labels=labels, wanted=(labels + 1) % 4)


def objective_of(batch, net):
    sign = -1 if batch.goal is Goal.TARGETED else 1
    about = batch.wanted if batch.goal is Goal.TARGETED else batch.labels

    def loss(row, point):
        outputs = net(point[None])
        return sign * nn.functional.cross_entropy(outputs, about[row : row + 1])

    return loss


@pytest.mark.parametrize("goal", [Goal.UNTARGETED, Goal.TARGETED])
def test_the_closed_form_at_the_clean_image_is_the_hessian_of_a_relu_net(goal):
    batch, net = goal_batch(goal), ReluNet()
    points, loss = moved(batch.images, 0.02), objective_of(batch, net)
    found = answer(
        Attack(base="ir-closed", options={"ir-closed": {"lambda_sum": 0.8}}), batch, net, points
    )
    plain = answer(Attack(), batch, net, points)
    for row in range(3):
        hessian = torch.autograd.functional.hessian(
            lambda p, row=row: loss(row, p), batch.images[row]
        ).reshape(192, 192)
        delta = (points - batch.images)[row].flatten()
        form = delta @ hessian @ delta
        assert abs(form) > 1e-4
        assert torch.allclose(found.values[row], plain.values[row] - 0.8 * form, atol=1e-12)
        expected = plain.gradient[row].flatten() - 0.8 * 2 * hessian @ delta
        assert torch.allclose(found.gradient[row].flatten(), expected, atol=1e-12)


@pytest.mark.parametrize("net", [ReluNet(), SmallNet(0)], ids=["relu", "smooth"])
@pytest.mark.parametrize("goal", [Goal.UNTARGETED, Goal.TARGETED])
def test_the_closed_form_at_the_point_is_the_variance_over_the_softmax(goal, net):
    batch = goal_batch(goal)
    points = moved(batch.images, 0.02)
    sign = -1 if goal is Goal.TARGETED else 1

    def form(row, point):
        clean = batch.images[row]
        jacobian = torch.autograd.functional.jacobian(
            lambda p: net(p[None])[0], point, create_graph=True
        ).flatten(1)
        along = jacobian @ (point - clean).flatten()
        p = net(point[None])[0].softmax(0)
        return sign * ((p * along.square()).sum() - (p * along).sum().square())

    options = {"ir-closed": {"lambda_sum": 0.8, "at": "point"}}
    found = answer(Attack(base="ir-closed", options=options), batch, net, points)
    plain = answer(Attack(), batch, net, points)
    for row in range(3):
        leaf = points[row].clone().requires_grad_()
        value = form(row, leaf)
        (gradient,) = torch.autograd.grad(value, leaf)
        assert torch.allclose(found.values[row], plain.values[row] - 0.8 * value, atol=1e-12)
        expected = plain.gradient[row] - 0.8 * gradient
        assert torch.allclose(found.gradient[row], expected, atol=1e-10)


class EverySign(Draws):
    """Hands out all 2^n sign patterns of n cells in turn."""

    def uniform(self, purpose, shape=(), **kind):
        samples, n = shape
        bits = torch.arange(samples)[:, None] >> torch.arange(n) & 1
        return (bits.double() * 0.9).expand(len(self), samples, n)


def test_random_signs_take_out_the_self_terms():
    clean = images(1, shape=(3, 6, 6))
    curved, delta = Curved(clean), 0.1 * vectors(1, 4, (3, 6, 6))
    part = ClosedForm(self_terms="remove", grid=2, samples=16)
    moves = part._signed(delta, EverySign(torch.zeros(1, dtype=torch.int64)))
    assert len(moves) == 17
    form = sum(share * move.flatten() @ curved.hessian @ move.flatten() for share, move in moves)
    expected = delta.flatten() @ curved.apart(2) @ delta.flatten()
    assert torch.allclose(form, expected, atol=1e-12)


@pytest.mark.parametrize("at", ["clean", "point"])
def test_removed_self_terms_are_differentiated(at):
    batch, net = goal_batch(Goal.UNTARGETED, 1), ReluNet()
    options = {"ir-closed": {"self_terms": "remove", "grid": 2, "samples": 3, "at": at}}
    given, point = Attack(base="ir-closed", options=options), moved(batch.images, 0.02)
    found, step = answer(given, batch, net, point), 1e-5
    for direction in vectors(3, 5):
        up, down = (
            answer(given, batch, net, point + sign * step * direction).values for sign in (1, -1)
        )
        slope = (found.gradient[0] * direction).sum()
        assert float((up - down)[0] / (2 * step)) == pytest.approx(float(slope), rel=1e-6)


class Embedding(SmallNet):
    def forward(self, images):
        return super().forward(images) + torch.arange(4)


def faces(goal=Goal.IMPERSONATION):
    clean, reference = images(3), images(3, seed=4)
    return Batch(names(3), clean, goal, references=reference)


@pytest.mark.parametrize("goal", [Goal.IMPERSONATION, Goal.DODGING])
def test_faces_use_the_objective_as_utility(goal):
    batch, net = faces(goal), Embedding(0)
    sign = 1 if goal is Goal.IMPERSONATION else -1
    leaf = moved(batch.images).requires_grad_()
    inside = Grid(4, 4).labels(8, 8) < 5

    def value(points):
        return sign * cosine_similarity(net(points), net(batch.references).detach())

    delta = leaf - batch.images
    rest = value(batch.images + ~inside * delta)
    term = value(leaf) - rest - value(batch.images + inside * delta) + value(batch.images)
    (expected,) = torch.autograd.grad((value(leaf) - 2 * term).sum(), leaf)
    members = [[cell < 5 for cell in range(16)]]
    found = answer(with_sets(members, 4, lambda_code=2.0), batch, net, leaf.detach())
    assert torch.allclose(found.gradient, expected, atol=1e-12)


def test_the_closed_form_follows_the_cosine():
    batch, net = faces(), Embedding(0)
    points = moved(batch.images, 0.02)
    found = answer(Attack(base="ir-closed"), batch, net, points)
    plain = answer(Attack(), batch, net, points)
    for row in range(3):
        clean, reference = (
            batch.images[row],
            normalize(net(batch.references[row : row + 1])[0], dim=0),
        )
        jacobian = torch.autograd.functional.jacobian(lambda p: net(p[None])[0], clean).flatten(1)
        bend = torch.autograd.functional.hessian(
            lambda f, r=reference: normalize(f, dim=0) @ r.detach(), net(clean[None])[0].detach()
        )
        along = jacobian @ (points[row] - clean).flatten()
        expected = plain.values[row] - 0.5 * along @ bend @ along
        assert torch.allclose(found.values[row], expected, atol=1e-12)


def residual():
    torch.manual_seed(0)  # the architecture's own initialisation is not keyed
    return CifarResNet(2).double().eval()


@pytest.mark.parametrize("token", ["ir", "ir-mean", "ir-closed"])
def test_a_surgery_acts_in_every_pass_of_a_penalty(token):
    batch, net = class_batch(images(2, shape=(3, 32, 32))), residual()
    points = moved(batch.images, 0.02)
    options = {} if token == "ir-closed" else {token: {"grid": 2}}
    operated = Attack(base=f"sgm+{token}", options=options, name="same draws")
    plain = Attack(base=token, options=options, name="same draws")
    found = answer(operated, batch, net, points)
    by_hand = answer(plain, batch, SkipGradient().rewrite(net), points)
    assert torch.allclose(found.gradient, by_hand.gradient, atol=1e-12)
    assert not torch.allclose(found.gradient, answer(plain, batch, net, points).gradient)


def test_variants_of_a_row_share_the_ghost_and_the_noise():
    # At the clean image all variants are the same image: equal draws leave no interaction.
    batch, net = class_batch(images(2, shape=(3, 32, 32))), residual()
    given, views = {"name": "same draws"}, {"vr": {"m": 2}}
    plain = answer(Attack(base="vr-ghost", options=views, **given), batch, net, batch.images)
    options = {**views, "ir": {"grid": 2, "sets": 3}}
    reduced = Attack(base="vr-ghost+ir", options=options, **given)
    for rows in (1, 256):
        found = answer(reduced, batch, net, batch.images, rows_per_pass=rows)
        assert torch.allclose(found.gradient, plain.gradient, atol=1e-12)


@pytest.mark.parametrize("base", ["mi+ir", "vr+ir", "ti+ir", "sgm+ir", "mi-vr-sgm+ir"])
def test_the_papers_combinations_are_base_names(base):
    batch, net = class_batch(images(2, shape=(3, 32, 32))), residual()
    views = {"vr": {"m": 2}} if "vr" in base else {}
    sizes = []
    for weight in (0, 5):
        options = {**views, "ir": {"grid": 4, "sets": 4, "lambda_code": weight}}
        given = Attack(base=base, options=options, steps=2, name="same draws")
        sizes.append(run_float(given, batch, [net]).images)
    differ = (sizes[0] != sizes[1]).flatten(1).double().mean(1)
    assert (differ > 0).all()


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


PROBES = {
    "ir": {
        "grid": 2, "borders": "floor", "utility": "loss", "lambda_code": 9.0, "sets": 5,
        "cells": 2, "noise": "clean-sum",
    },
    "ir-mean": {
        "grid": 2, "borders": "floor", "utility": "margin-anew", "lambda_mean": 900.0,
        "samples": 3, "noise": "clean-sum",
    },
    "ir-closed": {
        "lambda_sum": 4.0, "at": "point", "self_terms": "remove", "grid": 2, "samples": 3,
    },
    "interaction-only": {
        "grid": 2, "borders": "floor", "utility": "loss", "sets": 5, "cells": 2,
        "official_start": True, "guard": False,
    },
}  # fmt: skip


def probe(token, field):
    """The part's other options, and the base, under which a field has its effect."""
    if field == "official_start":
        return {"grid": 4, "guard": False}, token
    if field == "guard":
        return {"grid": 4, "official_start": True}, token
    if field == "noise":
        return {"grid": 4}, f"vr+{token}"
    if token != "ir-closed":
        return {"grid": 3 if field == "grid" else 4}, f"pgd+{token}"
    if field in ("grid", "samples"):
        return {"self_terms": "remove", "grid": 4}, f"pgd+{token}"
    return ({"grid": 4} if field == "self_terms" else {}), f"pgd+{token}"


def test_trap_18_every_option_of_every_penalty_changes_something():
    parts = {part.token: part for part in catalogue() if part.token in TOKENS}
    assert set(parts) == set(TOKENS)
    assert all(issubclass(parts[t], InteractionPenalty) for t in TOKENS if t != "ir-closed")
    batch, net = class_batch(images(3, shape=(3, 11, 11))), SmallNet(0, gain=3.0)

    def attacked(base, options):
        noise = {"vr": {"m": 2, "sigma": 0.1}} if "vr" in base else {}
        given = {"steps": 3, "name": "same draws", "epsilon": "16/255", "normalise": "l2rms"}
        attack = Attack(base=base, options={base.split("+")[-1]: options, **noise}, **given)
        return run_float(attack, batch, [net]).images

    for token, part in parts.items():
        assert set(PROBES[token]) == set(part.model_fields), token
        for field, value in PROBES[token].items():
            same, base = probe(token, field)
            changed = attacked(base, {**same, field: value})
            if field == "official_start":
                base, same = f"pgd+{token}", {"grid": 4}  # without it `pgd` is needed
            elif field == "self_terms":
                same = {}  # without it `grid` is refused
            assert not torch.equal(attacked(base, same), changed), f"{token}.{field}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "interaction-only"}, "no gradient at the clean image: add pgd"),
        (
            {"base": "pgd+interaction-only", "options": {"interaction-only": {"guard": False}}},
            "no effect on a random start",
        ),
        ({"base": "ir", "options": {"ir": {"noise": "clean-sum"}}}, "no effect without a view"),
        (
            {"base": "vr-ghost+ir", "options": {"ir": {"noise": "clean-sum"}}},
            "needs a surgery without random draws",
        ),
        ({"base": "ir", "combine": "ens-logits"}, "'ens-logits' fuses outputs, and ir"),
        ({"base": "ir-ir-mean"}, "more than one penalty: ir, ir-mean"),
        ({"base": "ir", "objective": "fi"}, "ir needs an objective on the outputs, and 'fi'"),
        ({"base": "ir-closed", "objective": "fi"}, "ir-closed needs an objective on the outputs"),
        ({"base": "ir-closed", "objective": "margin"}, "'margin' has no curvature"),
        ({"base": "ir-closed", "options": {"ir-closed": {"samples": 2}}}, "only with `self_terms"),
        ({"base": "linbp+ir-closed"}, "no linear map: set options.linbp.renormalise: false"),
        ({"base": "ir-mean", "options": {"ir-mean": {"samples": 256}}}, "below the grid's 256"),
        ({"base": "ir", "options": {"ir": {"lambda": 1}}}, "Extra inputs"),
    ],
)
def test_trap_18_a_wrong_penalty_is_refused_by_name(fields, message):
    with pytest.raises(ValidationError, match=message):
        Attack(**fields)


def test_ir_closed_follows_a_linear_backward_pass():
    options = {"linbp": {"renormalise": False, "start": 0}}
    given = {"base": "mi+linbp+ir-closed", "options": options, "steps": 2}
    at = images(2, shape=(3, 32, 32))
    found = run_float(Attack(**given), class_batch(at), [CifarResNet(2).double().eval()])
    assert not found.lost


def test_an_objective_that_nothing_asks_for_is_refused():
    loss = {"interaction-only": {"utility": "loss"}}
    fields = {"base": "pgd+interaction-only", "objective": "logit"}
    with pytest.raises(ValueError, match="objective 'logit' has no effect, the utility is the mar"):
        Attack(**fields).method(Goal.UNTARGETED, 192)
    assert Attack(**fields, options=loss).method(Goal.UNTARGETED, 192).query.penalty is not None


def test_faces_refuse_a_margin():
    given = Attack(base="ir", options={"ir": {"utility": "margin"}})
    with pytest.raises(ValueError, match="faces have no 'margin' utility"):
        given.method(Goal.IMPERSONATION, 192)
    assert given.method(Goal.UNTARGETED, 192).query.penalty is not None


def test_a_grid_finer_than_the_image_is_refused():
    batch = class_batch(images(2))
    with pytest.raises(ValueError, match="16 x 16 grid on an image of 8 x 8"):
        run_float(Attack(base="ir"), batch, [SmallNet(0)])


def test_the_scale_of_lambda_is_printed_with_it():
    shown = {
        base: Attack(base=base).summary()["parts"] for base in ("mi+ir", "ir-mean", "ir-closed")
    }
    assert "lambda_code=1.0" in shown["mi+ir"]
    assert "lambda_mean=6805.0" in shown["ir-mean"]
    assert "lambda_sum=0.5" in shown["ir-closed"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_o_sn_1_sign_noise_has_equal_sizes_and_no_mean(norm):
    clean = torch.full((3, 3, 64, 64), 0.5, dtype=torch.float64)
    batch, net = class_batch(clean), SmallNet(0)
    given = Attack(
        base="pgd", options={"pgd": {"start": "sign"}}, steps=0, epsilon="16/255", norm=norm
    )
    delta = (run_float(given, batch, [net]).images - clean) * 255 / 16
    assert torch.allclose(delta.abs(), torch.ones_like(delta), atol=1e-12)
    assert (delta.mean((1, 2, 3)).abs() < 4 / delta[0].numel() ** 0.5).all()
    assert not torch.equal(delta[0], delta[1])
    ball = Attack(base="pgd", steps=0, epsilon="16/255", norm=norm)
    assert not torch.equal(run_float(ball, batch, [net]).images, clean + delta * 16 / 255)
