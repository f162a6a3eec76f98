"""float32 beside float64 where the surrogates are sure: no objective may follow rounding noise."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gauntlet import Attack, Batch, Goal, Task, adapt, attack, gradient_cosines
from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.objectives.features import distance
from gauntlet.pipeline.attacks.objectives.il import IntermediateLevel
from gauntlet.pipeline.attacks.objectives.outputs import Cosine
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.oracle import InProcessOracle
from gauntlet.pipeline.training.ascent import ascend
from gauntlet.pipeline.training.ia_search import alignment
from gauntlet.pipeline.training.robustness import entropy
from tests.toys.surrogates import SmallNet, as_model, images, names, vectors

SEEDS = (0, 1)
GAIN = 14.0
"""Makes the networks' logits tens apart: their own class has all but 1e-8 of the probability."""


def nets(dtype, gain=GAIN):
    return [SmallNet(seed, gain=gain).to(dtype) for seed in SEEDS]


def sure_batch(dtype, goal=Goal.UNTARGETED, net=0) -> Batch:
    """Images of which both networks, or one of them, are sure; 8-bit, so both types hold them."""
    clean = images(60)
    with torch.no_grad():
        outputs = [model(clean) for model in nets(torch.float64)]
    classes = outputs[net].argmax(1)
    top = outputs[net].topk(2).values
    rows = ((top[:, 0] - top[:, 1]) > 18).nonzero()[:6, 0]
    assert len(rows) >= 4
    given = {"wanted": classes[rows]} if goal is Goal.TARGETED else {"labels": classes[rows]}
    return Batch(names(len(rows)), clean[rows].to(dtype), goal, **given)


def directions(given: Attack, dtype, goal=Goal.UNTARGETED, moved=0.0, models=None):
    """What the rule makes of the surrogates' answers, (B, N), and the answers, (k, B, N)."""
    batch = sure_batch(dtype, goal)
    models = nets(dtype) if models is None else models
    oracle = InProcessOracle([as_model(module, i) for i, module in enumerate(models)])
    method = given.method(goal, batch.images[0].numel())
    ask = Ask(oracle, range(len(models)), Setting(batch, method.query, 0, given.label, 0))
    noise = moved * vectors(60)[: len(batch)].tanh().to(torch.float32).to(dtype)
    points = batch.images + noise
    with torch.enable_grad():
        if not method.rule.fuses_outputs:
            return torch.stack(ask(points).gradients).flatten(2).double()
        step = Step(method.ball, batch.images, method.step_size, method.normalise)
        return method.rule.direction(points, ask, step).direction.flatten(1).double()[None]


CASES: dict[str, tuple[dict[str, Any], Goal, float]] = {
    "cross-entropy": ({}, Goal.UNTARGETED, 0),
    "targeted": ({}, Goal.TARGETED, 0),
    "logit": ({"objective": "logit"}, Goal.UNTARGETED, 0),
    "margin": ({"objective": "margin"}, Goal.UNTARGETED, 0),
    "fused logits": ({"combine": "ens-logits"}, Goal.UNTARGETED, 0),
    "fused probabilities": ({"combine": "ens-probabilities"}, Goal.UNTARGETED, 0),
    "fused probabilities, logit": (
        {"combine": "ens-probabilities", "objective": "logit"}, Goal.UNTARGETED, 0,
    ),
    "set terms of the loss": (
        {"base": "ir", "options": {"ir": {"grid": 4, "sets": 3, "cells": 3, "utility": "loss"}}},
        Goal.UNTARGETED, 0.02,
    ),
    "mean interaction of the loss": (
        {
            "base": "ir-mean",
            "options": {"ir-mean": {"grid": 2, "lambda_mean": 1, "utility": "loss"}},
        },
        Goal.UNTARGETED, 0.02,
    ),
    "closed form at the image": ({"base": "ir-closed"}, Goal.UNTARGETED, 0.02),
    "closed form at the point": (
        {"base": "ir-closed", "options": {"ir-closed": {"at": "point"}}}, Goal.UNTARGETED, 0.02,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_o_0_3_every_objective_in_float32_points_where_it_does_in_float64(case):
    fields, goal, moved = CASES[case]
    given = Attack(**fields)
    rough, exact = (
        directions(given, dtype, goal, moved) for dtype in (torch.float32, torch.float64)
    )
    # Some of the images only one of the two networks is sure of.
    cosine = F.cosine_similarity(rough * 1e9, exact * 1e9, dim=2)
    assert float(cosine.min()) > 0.999


def test_a_penalty_does_not_swamp_the_first_step_of_a_sure_image():
    # Interactions of no perturbation are zero; their rounding is more than this gradient.
    options = {"ir": {"grid": 4, "sets": 3, "cells": 3}}
    plain = directions(Attack(), torch.float32)
    reduced = directions(Attack(base="ir", options=options), torch.float32)
    assert torch.equal(plain, reduced)
    summed = {"ir": {**options["ir"], "noise": "clean-sum"}, "vr": {"m": 2, "sigma": 0.0}}
    once = directions(Attack(base="vr+ir", options=summed), torch.float32)
    assert float(F.cosine_similarity(once * 1e9, plain * 1e9, dim=2).min()) > 0.9999


def test_the_importance_of_features_by_probability_is_exact():
    found = []
    for dtype in (torch.float32, torch.float64):
        layers = torch.nn.Linear(192, 64), torch.nn.Linear(64, 4)
        net = torch.nn.Sequential(torch.nn.Flatten(), *layers)
        generator = torch.Generator().manual_seed(0)
        for parameter in net.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) / 2
        net = net.to(dtype)
        clean = images(40).to(dtype)
        top = net(clean).topk(2)
        gap = top.values[:, 0] - top.values[:, 1]
        rows = (gap > 20) & (gap < 60)
        assert rows.sum() > 3
        fields = {"of": "probability", "layer": "1", "masks": 1, "keep": 1}
        labels = top.indices[rows, 0]
        batch = Batch(names(len(labels)), clean[rows], Goal.UNTARGETED, labels=labels)
        given = Attack(objective="fi", options={"fi": fields})
        method = given.method(batch.goal, 192)
        ask = Ask(InProcessOracle([adapt(net)]), range(1), Setting(batch, method.query, 0, "a", 0))
        with torch.enable_grad():
            found.append(ask(batch.images).gradients[0].flatten(1).double())
    assert float(F.cosine_similarity(found[0], found[1]).min()) > 0.999


@pytest.mark.parametrize("angle", [1e-1, 1e-2, 1e-3])
@pytest.mark.parametrize("goal", [Goal.IMPERSONATION, Goal.DODGING])
def test_the_cosine_of_embeddings_that_nearly_agree_is_exact_down_to_a_thousandth(angle, goal):
    outputs, away = vectors(5, shape=(128,)), vectors(5, seed=2, shape=(128,))
    unit = F.normalize(outputs)
    away = F.normalize(away - (away * unit).sum(1, keepdim=True) * unit)
    reference = (unit + angle * away).float()
    found = []
    for dtype in (torch.float32, torch.float64):
        leaf = outputs.float().to(dtype).requires_grad_()
        known = {"reference": F.normalize(reference.to(dtype))}
        value = Cosine().of_outputs(leaf, known, goal)
        found.append(torch.autograd.grad(value.sum(), leaf)[0].double())
    assert float(F.cosine_similarity(found[0], found[1]).min()) > 0.9999


def test_robust_accuracy_and_the_search_for_alignment_follow_the_exact_gradient():
    ball = Ball("l2", 0.01)
    moved, criterion = [], []
    for dtype in (torch.float32, torch.float64):
        batch, net = sure_batch(dtype), nets(dtype)[0]
        assert batch.labels is not None
        draws = Draws.keyed(0, batch.ids)
        # A start at the image itself, so that the step shows the gradient alone.
        still = Ball("l2", 0.0).random_point(batch.images, draws)
        assert torch.equal(still, batch.images)
        points = ascend(entropy(net, batch.labels), batch.images, ball, 1, 1.0, draws)
        moved.append((points - batch.images).flatten(1).double())
        probes = vectors(2 * len(batch)).sign().reshape(2, len(batch), 3, 8, 8).to(dtype)
        criterion.append(alignment(net, batch.images, batch.labels, probes).double())
    assert float(F.cosine_similarity(moved[0], moved[1]).min()) > 0.999
    torch.testing.assert_close(criterion[0], criterion[1], rtol=1e-2, atol=1e-3)


class Embedding(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(vectors(5, seed=3).float())

    def forward(self, x):
        return torch.einsum("bchw,dchw->bd", x, self.weights)


@pytest.mark.parametrize("goal", [Goal.DODGING, Goal.IMPERSONATION])
def test_an_image_that_is_its_own_reference_is_refused_without_a_random_start(goal):
    clean = images(3).float()
    references = torch.cat([images(1, seed=5).float(), clean[1:2], images(1, seed=6).float()])
    message = "first is '1', step 0, surrogate 'all': cosine has no gradient where the image is its"
    net = Embedding()
    with pytest.raises(ValueError, match=message):
        attack([net], clean, references, goal=goal)
    started = attack([net], clean, references, Attack(base="pgd"), goal=goal)
    assert ((started - clean).abs().amax((1, 2, 3)) > 1e-3).all()
    batch = Batch(names(3), clean, goal, references=references)
    oracle = InProcessOracle([adapt(net, task=Task.VERIFICATION)])
    kept = run(Attack(steps=3), batch, oracle)
    assert set(kept.lost) == {1}
    assert torch.equal(kept.images[1], clean[1])
    assert not torch.equal(kept.images[0], clean[0])
    cosines = gradient_cosines([net, Embedding()], clean, references, goal=goal)
    assert cosines[1].isnan().all()
    assert not cosines[[0, 2]].isnan().any()


def test_a_difference_of_features_of_rounding_size_is_none():
    clean = torch.randn(2, 500, generator=torch.Generator().manual_seed(0))
    features = (clean * (1 + 2e-7)).requires_grad_()
    (noise,) = torch.autograd.grad(distance(features, clean).sum(), features)
    assert not noise.any()
    away = (clean + 1e-3).requires_grad_()
    length = distance(away, clean)
    (slope,) = torch.autograd.grad(length.sum(), away)
    torch.testing.assert_close(
        length.detach(), torch.full((2,), 1e-3 * 500**0.5), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(slope.norm(dim=1), torch.ones(2))


def test_il_follows_its_guide_where_features_differ_by_rounding_alone():
    part = IntermediateLevel(form="flexible", layer="0")
    clean = torch.randn(1, 500, generator=torch.Generator().manual_seed(0))
    guide = torch.randn(1, 500, generator=torch.Generator().manual_seed(1))

    class Features:
        def features(self, points, layer):
            return points

    points = (clean * (1 + 2e-7)).requires_grad_()
    known = {"clean": clean, "reference": guide}
    (value,) = part.terms(points, known, Goal.UNTARGETED, Features())  # type: ignore[arg-type]
    (slope,) = torch.autograd.grad(value.sum(), points)
    assert float(F.cosine_similarity(slope, guide)) > 0.9999
