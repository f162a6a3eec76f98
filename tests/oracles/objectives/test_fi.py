"""Oracle tests of FIA (specification 2.6)."""

import pytest
import torch
import torch.nn.functional as F

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.draws import Draws
from tests.toys.features import (
    LinearFeatures,
    Net,
    answer,
    attacked,
    faces,
    known,
    targeted,
    with_options,
)
from tests.toys.surrogates import class_batch, images


def test_o_fia_1_a_linear_readout_gives_its_own_weights_whatever_the_masks():
    net, batch = LinearFeatures(), class_batch(images(3))
    attack = with_options("fi", layer="middle", masks=7)
    own = net.last.weight[batch.labels]
    expected = own / own.norm(dim=1, keepdim=True)
    found = known(attack, batch, net)["weights"]
    assert torch.allclose(found, expected, atol=1e-15)
    gradient = answer(attack, batch, net, batch.images).gradient.flatten(1)
    assert torch.allclose(gradient, -expected @ net.middle.weight, atol=1e-15)


@pytest.mark.parametrize("of", ["logit", "probability"])
def test_o_fia_2_without_masks_it_is_the_normalised_gradient_at_the_image(of):
    net, batch = Nonlinear(), class_batch(images(3))
    assert batch.labels is not None
    found = known(with_options("fi", layer="features", keep=1, masks=4, of=of), batch, net)
    features = net.features(batch.images - 0.5).detach().requires_grad_()
    outputs = net.after(features)
    outputs = outputs.softmax(1) if of == "probability" else outputs
    value = outputs.gather(1, batch.labels[:, None]).sum()
    (expected,) = torch.autograd.grad(value, features)
    expected = expected.flatten(1) / expected.flatten(1).norm(dim=1, keepdim=True)
    assert torch.allclose(found["weights"], expected, atol=1e-14)


class Nonlinear(Net):
    """`Net` with a second nonlinear layer, so that masks matter."""

    def after(self, features):
        return 8 * F.softplus(self.last(self.pool(features).flatten(1)), 2).sin()

    def forward(self, x):
        return self.after(self.features(x - 0.5))


def test_fi_masks_entries_to_black_and_adds_up_gradients():
    net, batch, keep = Nonlinear(), class_batch(images(2)), 0.7
    assert batch.labels is not None
    masked = []
    attack = with_options("fi", layer="features", masks=30, keep=keep)
    found = known(attack, batch, net)["weights"]
    # The same masks again, from the keyed draws.
    draws = Draws.keyed(0, batch.ids, attack=attack.label, step=-1, model="m0")
    total = torch.zeros_like(found)
    for n in range(30):
        mask = draws.uniform(f"fi/mask/{n}", (3, 8, 8)) < keep
        masked.append(mask)
        features = net.features(batch.images * mask - 0.5).detach().requires_grad_()
        value = net.after(features).gather(1, batch.labels[:, None]).sum()
        total += torch.autograd.grad(value, features)[0].flatten(1)
    assert torch.allclose(found, total / total.norm(dim=1, keepdim=True), atol=1e-13)
    share = torch.stack(masked).double()
    assert float(share.mean()) == pytest.approx(keep, abs=0.02)
    # Channels are masked apart from each other.
    same = (share[:, :, 0] == share[:, :, 1]).double().mean()
    assert float(same) == pytest.approx(keep**2 + (1 - keep) ** 2, abs=0.05)


def test_fi_lowers_the_true_logit_and_raises_the_wanted_one():
    net, clean = Nonlinear(), images(6)
    attack = with_options("fi", layer="features", attack={"base": "mi", "steps": 6})
    lowered = class_batch(clean)
    raised = targeted(clean)
    for batch, classes, sign in ((lowered, lowered.labels, -1), (raised, raised.wanted, 1)):
        assert classes is not None
        moved = attacked(attack, batch, net).images
        change = (net(moved) - net(clean)).gather(1, classes[:, None])[:, 0]
        assert (sign * change > 0).double().mean() > 0.8


@pytest.mark.parametrize("goal", [Goal.DODGING, Goal.IMPERSONATION])
def test_fi_of_faces_differentiates_the_cosine(goal):
    net, batch = Nonlinear(), faces(images(3), goal)
    attack = with_options("fi", layer="features", keep=1, masks=1)
    found = answer(attack, batch, net, batch.images)
    features = net.features(batch.images - 0.5).detach().requires_grad_()
    value = F.cosine_similarity(net.after(features), net(batch.references)).sum()
    (weights,) = torch.autograd.grad(value, features)
    weights = weights.flatten(1) / weights.flatten(1).norm(dim=1, keepdim=True)
    sign = 1 if goal is Goal.IMPERSONATION else -1
    expected = sign * (weights * features.flatten(1)).sum(1)
    assert torch.allclose(found.values, expected, atol=1e-13)
