"""Published and measured references, on real images and real checkpoints."""

import csv

import numpy as np
import pytest
import torch

from gauntlet import Attack, Goal, attack
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.data.sources.pairs import Pairs
from gauntlet.pipeline.evaluation.verdict import judge
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.oracle import InProcessOracle

THRESHOLD = 0.3359


@pytest.fixture(scope="module")
def nets(data_root):
    return {
        depth: fold_batch_norm(
            build(
                ModelSpec(
                    name=f"resnet{depth}",
                    source=f"file:resnet{depth}-cifar10.safetensors",
                    architecture=f"cifar-resnet-{depth}",
                ),
                root=data_root,
            )
        ).model
        for depth in (20, 32, 44, 56)
    }


def cifar(data_root, positions):
    spec = Npz(source="npz", path="cifar10-test-1000.npz")
    batch = open_examples(spec, Goal.UNTARGETED, root=data_root, seed=0).load(positions).batch
    assert batch is not None
    return batch.ids, batch.images, batch.labels


def fooled(nets, images, labels):
    with torch.inference_mode():
        return {depth: net(images).argmax(1) != labels for depth, net in nets.items()}


def within(measured, reference, n, reference_n=100, sigmas=3):
    """Two binomial counts of the same rate differ by less than ``sigmas`` standard errors."""
    rate = min(max(reference, 0.5 / reference_n), 1 - 0.5 / reference_n)
    error = (rate * (1 - rate) * (1 / n + 1 / reference_n)) ** 0.5
    return abs(measured - reference) <= sigmas * error


@pytest.mark.parametrize(
    ("eps", "step", "steps", "expected"),
    [
        (4, 1.0, 10, {20: 100, 32: 76, 44: 69, 56: 74}),
        pytest.param(2, 0.5, 100, {20: 100, 32: 40, 44: 42, 56: 48}, marks=pytest.mark.slow),
        pytest.param(1, 0.25, 100, {20: 95, 32: 15, 44: 20, 56: 22}, marks=pytest.mark.slow),
    ],
)
def test_pgd_agrees_with_the_reference_on_its_100_images(
    nets, data_root, eps, step, steps, expected
):
    with (data_root / "cifar10-attack-100.csv").open() as file:
        positions = [int(row["index"]) for row in csv.DictReader(file)]
    ids, images, labels = cifar(data_root, positions)
    given = Attack(base="pgd", epsilon=eps / 255, step_size=step / 255, steps=steps)
    found = attack([nets[20]], images, labels, given, ids=ids)
    for depth, right in fooled(nets, found, labels).items():
        assert within(float(right.float().mean()), expected[depth] / 100, 100), depth


@pytest.mark.slow
@pytest.mark.parametrize(
    ("eps", "everybody", "right_before"),
    [
        (2, {44: 71.4, 56: 71.8}, {44: 65.5, 56: 66.0}),
        (4, {44: 93.0, 56: 92.6}, {44: 91.5, 56: 91.1}),
    ],
)
def test_ens_mi_agrees_with_the_published_rates(nets, data_root, eps, everybody, right_before):
    ids, images, labels = cifar(data_root, range(500))
    given = Attack(base="mi", combine="ens-logits", epsilon=eps / 255, step_size="eps/10", steps=10)
    found = torch.cat(
        [
            attack([nets[20], nets[32]], images[i : i + 50], labels[i : i + 50], given,
                   ids=ids[i : i + 50])
            for i in range(0, 500, 50)
        ]
    )  # fmt: skip
    before, after = fooled(nets, images, labels), fooled(nets, found, labels)
    for depth in (44, 56):
        rate = float(after[depth].float().mean())
        assert within(rate, everybody[depth] / 100, 500, 500), depth
        right = ~before[depth]
        rate = float(after[depth][right].float().mean())
        assert within(rate, right_before[depth] / 100, int(right.sum()), 410), depth


@pytest.mark.slow
def test_ifgsm_impersonates_all_40_reference_pairs(data_root):
    face = build(
        ModelSpec(
            name="face",
            source="file:mobilefacenet-ms1m-112.safetensors",
            architecture="mobilefacenet-112",
        ),
        root=data_root,
        task=Task.VERIFICATION,
    )
    spec = Pairs(
        source="pairs", images="orl-faces-112.npz", pairs="orl-pairs.csv",
        ids="orl-attack-pairs.csv",
    )  # fmt: skip
    examples = open_examples(spec, Goal.IMPERSONATION, root=data_root, seed=0)
    assert len(examples) == 40
    succeeded = []
    oracle = InProcessOracle([fold_batch_norm(face).model])
    for first in (0, 20):
        batch = examples.load(range(first, first + 20)).batch
        assert batch is not None
        assert batch.references is not None
        given = Attack(epsilon="8/255", step_size="1/255", steps=20)
        images = run(given, batch, oracle).images
        with torch.inference_mode():
            outputs = [
                face(each)[None].numpy() for each in (batch.images, images, batch.references)
            ]
        for shown in outputs[:2]:
            verdict = judge(shown, Goal.IMPERSONATION, references=outputs[2], threshold=THRESHOLD)
            succeeded.append(verdict.success)
    clean, attacked = np.concatenate(succeeded[::2]), np.concatenate(succeeded[1::2])
    assert clean.sum() == 0
    assert attacked.sum() == 40
