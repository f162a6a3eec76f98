"""What people write: every option has an effect, what is wrong is refused by name."""

from functools import cache
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from gauntlet import Attack, attack
from gauntlet.pipeline.attacks.loop import BudgetViolation, _verify
from gauntlet.pipeline.attacks.part import Place, catalogue
from tests.oracles.test_traps import COMBINES
from tests.toys.surrogates import SmallNet, class_batch, images, linear, oracle, run_float, vectors


def test_trap_10_budgets_are_resolved_and_reported():
    ens = Attack(epsilon="8/255", steps=20)
    assert ens.alpha * 255 == pytest.approx(0.6)  # RGEA's and RobFR's rule
    rgea = Attack(combine="rgea", epsilon="8/255", steps=20)
    assert rgea.alpha * 255 == pytest.approx(1.0)
    summary = Attack(base="pgd-mi", step_size="eps/10").summary()
    assert summary["step_size"] == pytest.approx(0.8 / 255)
    assert summary["steps"] == 10
    assert summary["random_start"] is True
    assert "mu=1.0" in str(summary["parts"])
    assert "mu=0.4" in str(Attack(base="mi", combine="rgea").summary()["parts"])


def test_trap_11_only_pgd_starts_at_random():
    batch, nets = class_batch(images(3)), [SmallNet(0), SmallNet(1)]
    for combine in COMBINES:
        still = run_float(Attack(combine=combine, steps=0, step_size=1), batch, nets)
        assert torch.equal(still.images, batch.images)
        moved = run_float(Attack(base="pgd", combine=combine, steps=0, step_size=1), batch, nets)
        assert not torch.equal(moved.images, batch.images)


def test_trap_18_every_option_of_every_part_changes_something():
    """Walks the catalogue: a parameter that changes no image must not exist."""
    other: dict[str, Any] = {
        "p": 0.9, "m": 2, "sigma": 0.2, "pivot": 0.5, "preset": "enlarge", "low": 0.6,
        "interpolation": "nearest", "pad": 0.5, "shared": True, "kernel": 3,
        "padding": "circular", "mu": 0.2, "start": "box", "unit": True, "rtol": 0.5,
        "inner": 2, "beta": "6/255", "momentum": 0.2, "normalised": False, "draws": "pair",
        "high": 1.3,
    }  # fmt: skip
    context: dict[str, dict[str, Any]] = {
        "high": {"preset": "enlarge"},
        "preset": {"p": 1},
        "low": {"p": 1},
        "pad": {"p": 1},
        "interpolation": {"p": 1},
        "shared": {"p": 1},
    }
    # `norm: l1` of MI cancels under every normalised step but moves NI's look-ahead;
    # `fusion`/`biased` and TorchJD's fields have tests of their own.
    skip = {
        ("mi", "norm"),
        ("svre", "fusion"),
        ("svre", "biased"),
        ("torchjd", "aggregator"),
        ("torchjd", "unit"),
        ("torchjd", "arguments"),
    }
    batch = class_batch(images(4, shape=(3, 16, 16)))
    # Nearly parallel gradients, so that a cut-off of the Gram matrix matters.
    nets = [SmallNet(0), SmallNet(0, gain=0.3), SmallNet(1), SmallNet(2)]
    attacked = cache(lambda text: run_float(Attack.model_validate_json(text), batch, nets).images)
    looked_at = 0
    for part in catalogue():
        if part.place is Place.OBJECTIVE:
            continue
        if part.token in ("pi", "rap", "relaxed"):
            continue  # walked in tests/oracles/updates
        if part.token in ("ir", "ir-mean", "ir-closed", "interaction-only"):
            continue  # walked in tests/oracles/penalties
        if part.place is Place.SURGERY:
            continue  # walked in tests/attacks/surgery/test_options.py
        for field in part.model_fields:
            if (part.token, field) in skip:
                continue
            known = field in other or field == "norm"
            assert known, f"give `other` a value of {part.token}.{field} that is not its default"
            value = "l1" if (part.token, field) == ("ni", "norm") else other[field]
            is_rule = part.place is Place.COMBINE
            base = "di-mi" if is_rule else part.token
            given = {"combine": part.token if is_rule else "ens", "steps": 3, "epsilon": "16/255"}
            if field == "start":
                given |= {"norm": "l2"}
            same = context.get(field, {})
            plain = {part.token: same} if same else {}
            a = attacked(Attack(base=base, options=plain, **given).model_dump_json())
            changed = {part.token: {**same, field: value}}
            b = run_float(Attack(base=base, options=changed, **given), batch, nets).images
            assert not torch.equal(a, b), f"{part.token}.{field} changes nothing"
            looked_at += 1
    assert looked_at >= 20


def test_trap_18_every_field_of_an_attack_changes_something():
    batch, nets = class_batch(images(4, shape=(3, 16, 16))), [SmallNet(0), SmallNet(1)]
    given = {"base": "mi", "steps": 3}
    plain = run_float(Attack(**given), batch, nets).images
    changes = {
        "base": "ti-mi", "combine": "rgea", "norm": "l2", "epsilon": "2/255", "steps": 4,
        "step_size": "3/255", "normalise": "l2rms", "objective": "margin", "surrogates": ("m1",),
        "options": {"mi": {"mu": 0.1}},
    }  # fmt: skip
    for field, value in changes.items():
        out = run_float(Attack(**{**given, field: value}), batch, nets).images
        assert not torch.equal(out, plain), field
    l2 = {"norm": "l2", "epsilon": 0.05}
    a, b = (
        run_float(Attack(**l2, epsilon_unit=unit), batch, nets).images for unit in ("rms", "abs")
    )
    assert not torch.equal(a, b)
    # What is run instead of an attack of ours: tests/foreign; seeds: tests/jobs/spec/test_seeds.py.
    elsewhere = {"source", "arguments", "images", "seed"}
    assert set(Attack.model_fields) - set(changes) - elsewhere == {"name", "epsilon_unit"}
    assert Attack(name="mine").label == "mine"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "dii-mi"}, "unknown attack part 'dii'; did you mean 'di'"),
        ({"base": "mi-ni"}, "more than one update rule"),
        ({"base": "di-di"}, "names a part twice"),
        ({"base": "-"}, "needs a base"),
        ({"combine": "rgae"}, "unknown combination rule 'rgae'; did you mean 'rgea'"),
        ({"combine": "ens/logits"}, "other rules without a slash"),
        ({"objective": "crossentropy"}, "did you mean 'cross-entropy'"),
        ({"base": "pgd", "options": {"pgd": {"start": "box"}}}, "'box' is for the norm l2, not li"),
        (
            {"base": "ghost", "options": {"ghost": {"p": 0.1, "per_channel": False}}},
            "per_channel has an effect only on skips",
        ),
        (
            {"objective": "il", "options": {"il": {"coefficient": 2}}},
            "coefficient has an effect only with `form: flexible`",
        ),
        ({"epsilon": 8}, r"epsilon is in \[0, 1\] units: 8 .* is 8/255 meant"),
        ({"norm": "l2", "epsilon": 2}, "epsilon is in"),
        ({"step_size": 2}, r"step_size is in \[0, 1\] units"),
        ({"base": "rap", "options": {"rap": {"epsilon_n": 16}}}, "less than or equal to 1"),
        ({"epsilon_unit": "rms"}, "epsilon_unit belongs to the l2 norm"),
        ({"epsilon": "8/225x"}, "expected a number such as"),
        ({"step_size": "eps/0"}, "division by zero"),
        ({"step_size": -1}, "must be positive"),
        ({"options": {"di": {"p": 0.5}}}, "options for 'di', which the attack 'i'"),
        ({"base": "di", "options": {"di": {"probability": 0.5}}}, "unknown field 'probability'"),
        ({"base": "ti", "options": {"ti": {"kernel": 4}}}, "must be odd"),
        ({"base": "ni", "normalise": "linf"}, "ni looks ahead only under"),
        ({"stepz": 4}, "did you mean 'steps'"),
    ],
)
def test_trap_18_a_wrong_recipe_is_refused_by_name(fields, message):
    with pytest.raises(ValidationError, match=message):
        Attack(**fields)


def test_a_recipe_survives_json():
    given = Attack(base="di-mi", combine="svre", options={"di": {"p": 0.8}, "svre": {"inner": 3}})
    again = Attack.model_validate_json(given.model_dump_json())
    assert again == given
    assert again.summary() == given.summary()


def test_library_use_in_five_lines_on_float_images():
    nets = [SmallNet(0).float(), SmallNet(1).float()]
    clean, labels = images(4).float(), torch.arange(4)
    found = attack(nets, clean, labels, Attack(base="di-ti-mi", combine="rgea", steps=3))
    assert found.shape == clean.shape
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        attack(nets, clean * 255, labels)
    with pytest.raises(ValueError, match="labels has 3 rows"):
        attack(nets, clean, labels[:3])
    for wrong, message in (
        ((nets[0], clean, labels), "models must be a list, got one SmallNet"),
        ((nets, clean.numpy(), labels), "images must be a tensor"),
        (
            (nets, clean, [0, 1, 2, 3]),
            r"labels must be a tensor, got list: torch.as_tensor\(labels\)",
        ),
        ((nets, [*clean], labels), r"got list: torch.stack\(images\) makes one"),
        ((nets, clean, labels.float()), "labels must be an int64 tensor"),
        ((nets, clean, labels, "di-ti-mi"), "recipe must be an Attack, got 'di-ti-mi'"),
    ):
        with pytest.raises(TypeError, match=message):
            attack(*wrong)
    broken = linear(vectors(1)[0] * torch.inf)
    with pytest.raises(ValueError, match="first is '0', step 0, surrogate 'model-0'"):
        attack([broken], images(2), torch.zeros(2, dtype=torch.int64))


def test_the_engine_refuses_images_outside_their_budget():
    batch = class_batch(images(3))
    method = Attack(epsilon="4/255").method(batch.goal, 192)
    inside = batch.images + 3 / 255
    _verify(inside, batch, method, quantized=False)
    for bad in (batch.images + 5 / 255, inside.masked_fill(inside > 0, torch.nan), inside * 3):
        with pytest.raises(BudgetViolation, match="example-0"):
            _verify(bad, batch, method, quantized=False)


def test_a_surrogate_subset_is_named_and_checked():
    batch, nets = class_batch(images(3)), [SmallNet(0), SmallNet(1)]
    one = run_float(Attack(surrogates=("m1",), steps=3), batch, nets).images
    assert torch.equal(one, run_float(Attack(steps=3), batch, [SmallNet(1)]).images)
    with pytest.raises(ValueError, match="names 'm7', which is not among the surrogates: m0, m1"):
        run_float(Attack(surrogates=("m7",)), batch, nets)


def test_an_oracle_needs_distinct_models():
    with pytest.raises(ValueError, match="at least one"):
        oracle()
