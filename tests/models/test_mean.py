"""Models that are the mean of other models' logits."""

from pathlib import Path

import pytest
import torch

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.models.build import build, check
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.oracle import InProcessOracle

HERE = Path(".")


def member(seed, **fields):
    source = "import:tests.toys.jobs:network"
    return ModelSpec(name=f"m{seed}", source=source, options={"seed": seed}, **fields)


def mean(*members):
    return ModelSpec(name="mean", source="mean:logits", members=members)


def test_the_outputs_are_the_mean_of_the_members_behind_their_own_adapters():
    specs = member(0), member(1, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([build(spec, permission=granted())(images) for spec in specs]).mean(0)
    for fold in (False, True):
        assert torch.allclose(
            build(mean(*specs), fold=fold, permission=granted())(images), expected, atol=1e-5
        )


def test_attacking_the_mean_is_fusing_logits():
    specs = member(0), member(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(40, 216, (3, 3, 8, 8), generator=generator).double() / 255
    batch = Batch(("a", "b", "c"), images, Goal.UNTARGETED, labels=torch.tensor([0, 1, 0]))
    several = [build(spec, dtype=torch.float64, permission=granted()) for spec in specs]
    one = build(mean(*specs), dtype=torch.float64, permission=granted())
    fused = run(Attack(combine="ens-logits", steps=3), batch, InProcessOracle(several))
    alone = run(Attack(steps=3), batch, InProcessOracle([one]))
    assert torch.equal(fused.images, alone.images)


@pytest.mark.parametrize(
    ("spec", "where", "words"),
    [
        (mean(member(0)), "members", "at least two"),
        (ModelSpec(name="m", source="mean:softmax"), "source", "mean:logits"),
        (mean(member(0), member(1, defence={"kind": "jpeg"})), "members[1].defence", "no defence"),
        (
            mean(member(0), ModelSpec(name="x", source="timm/resnet18x")),
            "members[1].source",
            "unknown timm model",
        ),
        (member(0, members=(member(1),)), "members", "only a mean"),
    ],
)
def test_bad_input(spec, where, words):
    (problem,) = check(spec, HERE, permission=granted())
    assert problem.where == where
    assert words in problem.what
