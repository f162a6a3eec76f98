"""How far gradients agree: closed forms, and a difference quotient that knows no autograd."""

import pytest
import torch
from torch.nn import functional as F

from gauntlet import Attack, gradient_cosines
from tests.toys.surrogates import SHAPE, SmallNet, linear
from tests.toys.surrogates import images as made_up

LOGIT = Attack(objective="logit")


def test_linear_models_have_the_angles_of_their_weights():
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, *SHAPE, generator=generator, dtype=torch.float64)
    images = torch.rand(2, *SHAPE, generator=generator, dtype=torch.float64)
    found = gradient_cosines(
        [linear(one) for one in weights], images, torch.zeros(2, dtype=torch.long), LOGIT,
        goal="targeted",
    )  # fmt: skip
    flat = weights.flatten(1)
    expected = F.cosine_similarity(flat[:, None], flat[None], dim=2)
    torch.testing.assert_close(found, expected.expand(2, 3, 3))


def test_each_example_has_its_own_and_a_flat_model_has_none():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(4, *SHAPE, generator=generator, dtype=torch.float64)
    nets = [SmallNet(0), SmallNet(1), linear(torch.zeros(SHAPE, dtype=torch.float64))]
    labels = torch.zeros(4, dtype=torch.long)
    together = gradient_cosines(nets, images, labels)
    assert together[:, 0, 1].std() > 0
    for row in range(4):
        alone = gradient_cosines(nets, images[row : row + 1], labels[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], equal_nan=True)
    assert together[:, 2].isnan().all()
    assert together[:, :, 2].isnan().all()
    assert not together[:, :2, :2].isnan().any()


def test_it_is_the_gradient_of_the_attacks_loss():
    net, image = SmallNet(0), made_up(1)
    label = torch.tensor([1])

    def loss(x):
        with torch.no_grad():
            return F.cross_entropy(net(x), label)

    slope = torch.zeros(SHAPE, dtype=torch.float64)
    for place in torch.cartesian_prod(*map(torch.arange, SHAPE)):
        bump = torch.zeros_like(image)
        bump[0][tuple(place)] = 1e-5
        slope[tuple(place)] = (loss(image + bump) - loss(image - bump)) / 2e-5
    # The second model's loss of class 1 grows straight along the first one's.
    two = gradient_cosines([net, linear(slope)], image, label)
    assert two[0, 0, 1] == pytest.approx(1, abs=1e-6)


def test_an_objective_that_needs_a_base_attack_is_refused():
    images = made_up(1)
    with pytest.raises(ValueError, match="goes on from another attack"):
        gradient_cosines([SmallNet(0)], images, torch.zeros(1, dtype=torch.long),
                         Attack(objective="il"))  # fmt: skip
