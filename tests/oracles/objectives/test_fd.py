"""Oracle tests of FD (specification 2.6)."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet import adapt
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.models.heads import (
    Head,
    HeadSettings,
    head_path,
    heads_key,
    image_hashes,
    write_head,
)
from gauntlet.pipeline.problems import BadInput
from tests.toys.features import (
    Net,
    answer,
    attacked,
    cosine,
    faces,
    random_head,
    targeted,
    with_options,
)
from tests.toys.surrogates import class_batch, images, vectors


def test_o_fd_1_probability_its_logarithm_and_the_logit_have_one_direction():
    head = random_head(0)
    features = vectors(4, shape=(6 * 64,)).float().double().requires_grad_()
    tensors: dict[str, Any] = {
        name: value.double() for name, value in vars(head).items() if isinstance(value, Tensor)
    }
    double = replace(head, **tensors)
    gradients = [
        torch.autograd.grad(of(double(features)).sum(), features)[0]
        for of in (lambda h: h, torch.sigmoid, F.logsigmoid)
    ]
    for other in gradients[1:]:
        assert torch.allclose(cosine(gradients[0], other), torch.ones(4).double(), atol=1e-14)


def test_o_fd_2_identity_heads_on_the_logits_are_the_targeted_logit_objective(tmp_path):
    settings = HeadSettings(hidden=2)
    net, batch = Net(), targeted(images(4))
    key = heads_key(adapt(net).fingerprint, "last", settings)
    for label in range(4):
        own = F.one_hot(torch.tensor(label), 4).float()
        # h = relu(z) - relu(-z) = z
        head = Head(torch.stack([own, -own]), torch.zeros(2), torch.tensor([1.0, -1.0]),
                    torch.zeros(()), (4,), 8, 1.0, torch.zeros(0, dtype=torch.int64))  # fmt: skip
        write_head(head_path(tmp_path, key, label), head, {"label": label})
    given = {"steps": 5, "base": "mi", "name": "same"}
    attack = with_options("fd", layer="last", heads=str(tmp_path), training=settings, attack=given)
    first = answer(attack, batch, net, batch.images)
    logit = answer(Attack(objective="logit", **given), batch, net, batch.images)
    # The layer comes before the network's own factor 8.
    expected = F.logsigmoid(logit.values / 8)
    assert torch.allclose(first.values, expected, atol=1e-14)
    similar = cosine(first.gradient, logit.gradient)
    assert torch.allclose(similar, torch.ones(4).double(), atol=1e-14)
    assert torch.equal(
        attacked(attack, batch, net).images,
        attacked(Attack(objective="logit", **given), batch, net).images,
    )


@pytest.mark.parametrize("pool", [1, 8])
def test_fd_raises_the_head_of_each_examples_own_class(heads, pool):
    settings = HeadSettings(hidden=5, pool=pool)
    folder = heads(settings=settings)
    net, batch, eta = Net(), targeted(images(6)), 0.5
    attack = with_options("fd", layer="features", heads=folder, training=settings, eta=eta)
    points = batch.images + 0.02 * vectors(6)
    found = answer(attack, batch, net, points).values
    for row in range(6):
        maps, clean = (net.features(x[row : row + 1] - 0.5) for x in (points, batch.images))
        head = random_head(int(batch.wanted[row]), pool)
        inputs = F.adaptive_avg_pool2d(maps, pool).flatten(1)
        hidden = torch.relu(inputs @ head.hidden_weights.double().T + head.hidden_biases.double())
        logit = hidden @ head.weights.double() + head.bias.double()
        expected = F.logsigmoid(logit) + eta * (maps - clean).norm() / clean.norm()
        assert float(found[row]) == pytest.approx(expected.item(), abs=1e-13)


def test_fd_refuses_heads_that_are_not_there_or_cannot_be_trusted(heads, tmp_path):
    batch = targeted(images(3))

    def fails(**changes):
        options = {"layer": "features", "training": HeadSettings(hidden=5), "heads": str(tmp_path)}
        with pytest.raises(BadInput) as caught:
            attacked(with_options("fd", **{**options, **changes}), batch, Net())
        return str(caught.value)

    assert "head of class 1 for 'm0'" in fails()
    assert "train them with: gauntlet heads train JOB" in fails()
    heads()
    assert "does not exist" in fails(layer="pool")
    assert "does not exist" in fails(training=HeadSettings(hidden=5, steps=7))
    attack = with_options("fd", layer="features", training=HeadSettings(hidden=5),
                          heads=str(tmp_path))  # fmt: skip
    assert not attacked(attack, batch, Net()).lost
    other = copy.deepcopy(Net())
    other.last.weight.data[0, 0] += 1e-3
    with pytest.raises(BadInput, match="does not exist"):
        attacked(attack, batch, other)
    heads(auc=0.89)
    assert "its AUC is 0.890, at least 0.9 is needed" in fails()
    heads(trained_on=image_hashes(batch.images)[1:2])
    assert "it was trained on 'example-1', which is attacked" in fails()


def test_fd_is_for_wanted_classes_only():
    with pytest.raises(ValueError, match=r"'fd' moves towards a wanted class: .* untargeted"):
        attacked(with_options("fd", layer="features"), class_batch(images(2)), Net())
    with pytest.raises(ValueError, match="does not exist for verification"):
        attacked(with_options("fd", layer="features"), faces(images(2)), Net())


def test_fd_asks_the_layer_that_it_is_told(heads, tmp_path):
    folder = heads(tmp_path)
    settings = HeadSettings(hidden=5)
    key = heads_key(adapt(Net()).fingerprint, "pool", settings)
    for label in range(4):
        head = random_head(label)
        smaller = Head(**{**vars(head), "hidden_weights": head.hidden_weights[:, :96],
                          "shape": (6, 4, 4)})  # fmt: skip
        write_head(head_path(tmp_path, key, label), smaller, {"label": label})
    batch, found = targeted(images(2)), []
    for layer in ("features", "pool"):
        attack = with_options("fd", layer=layer, heads=folder, training=settings)
        found.append(answer(attack, batch, Net(), batch.images).values)
    assert not torch.allclose(*found)
