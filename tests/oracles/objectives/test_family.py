"""What all objectives on features share."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from gauntlet.pipeline.attacks.objectives.aa import ActivationAttack
from gauntlet.pipeline.attacks.objectives.fd import FeatureDistribution
from gauntlet.pipeline.attacks.objectives.fi import FeatureImportance
from gauntlet.pipeline.attacks.objectives.il import IntermediateLevel
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.models.heads import (
    HeadSettings,
)
from gauntlet.pipeline.norms import l2, linf
from tests.oracles.objectives.test_fi import Nonlinear
from tests.toys.features import TOKENS, Net, answer, attacked, faces, targeted, with_options
from tests.toys.surrogates import images, vectors


def test_faces_have_no_probability():
    attack = with_options("fi", layer="features", of="probability")
    with pytest.raises(ValueError, match="faces have no 'probability'"):
        attack.method(Goal.DODGING, 192)
    attack.method(Goal.UNTARGETED, 192)


def every_option(folder):
    """Every field of every objective, with a value that is not its default."""
    return {
        ActivationAttack: {"layer": "pool"},
        FeatureDistribution: {
            "layer": None, "heads": None, "eta": 50.0, "training": HeadSettings(hidden=5, seed=3),
        },
        IntermediateLevel: {
            "layer": "pool", "base": "ti", "steps": 2, "form": "flexible", "coefficient": 3.0,
        },
        FeatureImportance: {"layer": "pool", "masks": 3, "keep": 0.4, "of": "probability"},
    }  # fmt: skip


def test_trap_18_every_option_of_these_objectives_changes_something(heads, tmp_path):
    first = heads(tmp_path / "first")
    heads(tmp_path / "first", settings=HeadSettings(hidden=5, seed=3), bias=torch.tensor(0.3))
    heads(tmp_path / "first", layer="pool", shape=(6, 8, 8))
    second = heads(tmp_path / "second", weights=torch.linspace(-1, 1, 5))
    context = {"coefficient": {"form": "flexible"}}
    clean = images(3)
    points = clean + 0.03 * vectors(3)
    for part, values in every_option(first).items():
        assert set(values) == set(part.model_fields), part
        base: dict[str, Any] = {"layer": "features"}
        if part is FeatureDistribution:
            base |= {"heads": first, "training": HeadSettings(hidden=5)}
            values = {**values, "heads": second, "layer": "pool"}
        for field, value in values.items():
            if (part, field) == (FeatureDistribution, "layer"):
                continue  # heads are made for one layer: the next test
            same = {**base, **context.get(field, {})}
            found = []
            for options in (same, {**same, field: value}):
                attack = with_options(part.token, attack={"steps": 3}, **options)
                batch = targeted(clean, images(3, seed=5))
                if part is IntermediateLevel:
                    guide = attacked(attack.guide(attack.objective_for(batch.goal).guide()),
                                     batch, Nonlinear())  # fmt: skip
                    batch = Batch(batch.ids, clean, batch.goal, wanted=batch.wanted,
                                  guide=guide.images)  # fmt: skip
                net = Net() if part is FeatureDistribution else Nonlinear()
                found.append(answer(attack, batch, net, points).gradient)
            assert not torch.equal(*found), f"{part.token}.{field} changes nothing"


@pytest.mark.parametrize("token", ["aa", "il", "fi"])
def test_without_a_layer_the_family_has_one(token):
    batch = targeted(images(2), images(2, seed=5))
    batch = replace(batch, guide=batch.images + 0.02 * vectors(2))
    points = batch.images + 0.01 * vectors(2, seed=3)
    found = [
        answer(with_options(token, layer=layer), batch, Net(), points).values
        for layer in (None, "features", "pool")
    ]
    assert any(torch.equal(found[0], other) for other in found[1:])
    assert not torch.allclose(found[1], found[2])


FAMILY = [
    ("aa", {"layer": "features"}, {"base": "pgd-mi", "steps": 3}),
    ("fd", {"layer": "features", "training": {"hidden": 5}}, {"base": "di-mi", "steps": 3}),
    ("il", {"layer": "features", "base": "pgd-di", "steps": 2}, {"steps": 3}),
    ("il", {"layer": "pool", "form": "flexible"}, {"base": "mi", "steps": 3}),
    ("fi", {"layer": "features", "masks": 5}, {"base": "si-mi", "combine": "rgea", "steps": 3}),
]


@pytest.mark.parametrize(("token", "options", "fields"), FAMILY, ids=lambda value: str(value)[:24])
def test_o_0_1_a_batch_equals_its_single_examples(heads, token, options, fields):
    if token == "fd":
        options = {**options, "heads": heads()}
    attack = Attack(objective=token, options={token: options}, **fields)
    clean = images(4)
    nets = [Net(0), Net(1)]
    batch = targeted(clean, images(4, seed=5))
    together = attacked(attack, batch, *nets)
    assert not together.lost
    assert (linf(together.images - clean) > 1e-3).all()
    for row in range(4):
        alone = attacked(attack, batch.rows(torch.tensor([row])), *nets)
        assert torch.allclose(together.images[row], alone.images[0], atol=1e-12)


@pytest.mark.parametrize("token", TOKENS)
def test_rules_that_fuse_outputs_refuse_features(token):
    for combine in ("ens-logits", "ens-probabilities"):
        with pytest.raises(ValidationError, match=f"fuses outputs, and {token} needs"):
            Attack(objective=token, combine=combine)


@pytest.mark.parametrize("token", TOKENS)
def test_an_unknown_layer_is_named(heads, token):
    options: dict[str, Any] = {"layer": "feature"}
    if token == "fd":
        options |= {"heads": heads(layer="feature"), "training": HeadSettings(hidden=5)}
    batch = targeted(images(2), images(2, seed=5))
    with pytest.raises(ValueError, match=r"unknown layer 'feature'; did you mean 'features'"):
        attacked(with_options(token, **options), batch, Net())


def test_faces_are_attacked_through_their_features():
    batch = faces(images(3))
    for token in ("aa", "il", "fi"):
        attack = with_options(token, layer="features", attack={"base": "mi", "steps": 5})
        found = attacked(attack, batch, Net(0), Net(1))
        assert not found.lost
        assert (l2(found.images - batch.images) > 0.1).all()


@pytest.mark.parametrize(
    ("token", "options", "message"),
    [
        ("il", {"form": "angle"}, "'projection' or 'flexible'"),
        ("il", {"steps": -1}, "greater than or equal to 0"),
        ("fi", {"masks": 0}, "greater than or equal to 1"),
        ("fi", {"keep": 1.2}, "less than or equal to 1"),
        ("fi", {"of": "loss"}, "'logit' or 'probability'"),
        ("fd", {"eta": -1}, "greater than or equal to 0"),
        ("fd", {"training": {"pool": 4}}, "1 or 8"),
        ("aa", {"layers": "features"}, "unknown field 'layers'; did you mean 'layer'"),
    ],
)
def test_wrong_settings_are_refused_by_name(token, options, message):
    with pytest.raises(ValidationError, match=message):
        Attack(objective=token, options={token: options})
