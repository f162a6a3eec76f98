"""Oracle tests of the closed form (specification 2.8)."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.penalties.ir_closed import ClosedForm
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from tests.toys.penalties import Curved, Embedding, answer, faces, moved
from tests.toys.surrogates import SmallNet, class_batch, images, names, run_float, vectors


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


def test_ir_closed_follows_a_linear_backward_pass():
    options = {"linbp": {"renormalise": False, "start": 0}}
    given = {"base": "mi+linbp+ir-closed", "options": options, "steps": 2}
    at = images(2, shape=(3, 32, 32))
    found = run_float(Attack(**given), class_batch(at), [CifarResNet(2).double().eval()])
    assert not found.lost
