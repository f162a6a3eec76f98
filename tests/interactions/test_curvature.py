"""delta^T H delta in closed form."""

import pytest
import torch
from torch import nn

from gauntlet.pipeline.interactions import Grid, curvature, self_terms
from tests.toys.games import ReluNet, normal, uniform

SIDE = 4


def hessian_form(net, images, delta, label=0):
    """delta^T H delta by automatic second derivatives, (B,)."""
    found = []
    for image, move in zip(images, delta, strict=True):

        def loss(point):
            return nn.functional.cross_entropy(net(point), torch.tensor([label]))

        H = torch.autograd.functional.hessian(loss, image[None]).reshape(2 * [image.numel()])
        found.append(move.flatten() @ H @ move.flatten())
    return torch.stack(found)


def convolutional():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 2),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    return net.double().eval()


@pytest.mark.parametrize("label", [0, 3])
def test_it_is_the_hessian_of_the_cross_entropy_of_a_relu_network(label):
    net = convolutional()
    images, delta = uniform(1, 3, 3, SIDE, SIDE), 0.2 * normal(2, 3, 3, SIDE, SIDE)
    expected = hessian_form(net, images, delta, label)
    assert torch.allclose(curvature(net, images, delta), expected, rtol=1e-10, atol=0)


def test_self_terms_are_the_blocks_within_cells():
    net, grid = ReluNet(5, SIDE), Grid(2, 2)
    images, delta = uniform(1, 3, 3, SIDE, SIDE), normal(2, 3, 3, SIDE, SIDE)
    expected = sum(
        hessian_form(net, images, delta * grid.masks(alone, SIDE, SIDE, delta.dtype, "cpu"))
        for alone in torch.eye(4).bool()
    )
    assert torch.allclose(self_terms(net, images, delta, grid), expected, rtol=1e-10, atol=0)


class NoForwardRule(torch.autograd.Function):
    """A ReLU that only knows how to go backwards, and backwards again."""

    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return values.clamp(min=0)

    @staticmethod
    def backward(ctx, back):
        (values,) = ctx.saved_tensors
        return back * (values > 0)


def test_a_network_without_forward_rules_gives_the_same():
    net = ReluNet(5, SIDE)

    def plain(points):
        return (points.flatten(1) @ net.first.T + net.bias).relu() @ net.last.T

    def special(points):
        return NoForwardRule.apply(points.flatten(1) @ net.first.T + net.bias) @ net.last.T

    images, delta = uniform(1, 3, 3, SIDE, SIDE), normal(2, 3, 3, SIDE, SIDE)
    with pytest.raises(RuntimeError):
        torch.func.jvp(special, (images,), (delta,))
    expected = curvature(plain, images, delta)
    assert expected.min() > 0
    found = curvature(special, images, delta)
    assert torch.allclose(found, expected, rtol=1e-12, atol=0)
    assert not found.requires_grad


class Attention(nn.Module):
    """One attention layer over the rows of the image; smooth, so H is the Gauss-Newton part."""

    def __init__(self):
        super().__init__()
        self.project, self.head = normal(7, 3 * SIDE, 24), normal(8, SIDE * 8, 4)

    def forward(self, images):
        rows = images.transpose(1, 2).flatten(2) @ self.project
        query, key, value = rows[:, None].chunk(3, -1)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return mixed.flatten(1) @ self.head


def test_attention_has_a_closed_form_too():
    net, images, delta = Attention(), uniform(1, 2, 3, SIDE, SIDE), normal(2, 2, 3, SIDE, SIDE)
    for image, move, found in zip(images, delta, curvature(net, images, delta), strict=True):
        J = torch.autograd.functional.jacobian(net, image[None]).reshape(4, -1)
        p = net(image[None])[0].softmax(0)
        slopes = J @ move.flatten()
        expected = (p * slopes**2).sum() - (p * slopes).sum() ** 2
        assert found.item() == pytest.approx(expected.item(), rel=1e-9)
    with pytest.raises(NotImplementedError):
        torch.func.jvp(net, (images,), (delta,))


def test_rows_of_a_pass_bound_the_calls():
    net = ReluNet(5, SIDE)
    images, delta = uniform(1, 5, 3, SIDE, SIDE), normal(2, 5, 3, SIDE, SIDE)
    whole = self_terms(net, images, delta, Grid(2, 2), rows_per_pass=100)
    net.calls.clear()
    parts = self_terms(net, images, delta, Grid(2, 2), rows_per_pass=3)
    assert max(net.calls) == 3
    assert sum(net.calls) == 20
    assert torch.allclose(parts, whole, rtol=1e-12, atol=0)


def test_saturated_logits_have_no_curvature_and_no_nan():
    net = ReluNet(5, SIDE)
    images, delta = uniform(1, 2, 3, SIDE, SIDE), normal(2, 2, 3, SIDE, SIDE)
    found = curvature(lambda x: 1e6 * net(x), images, delta)
    assert torch.isfinite(found).all()
    assert (found >= 0).all()


def test_a_detached_model_is_an_error_not_zero():
    images = uniform(1, 2, 3, SIDE, SIDE)
    net = ReluNet(5, SIDE)
    with pytest.raises(RuntimeError):
        curvature(lambda x: net(x.detach()), images, images)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 4\), got \(1, 3, 4, 4\)"):
        curvature(ReluNet(5, SIDE), uniform(1, 2, 3, SIDE, SIDE), uniform(1, 1, 3, SIDE, SIDE))
