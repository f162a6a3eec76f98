"""Every option of a penalty has an effect, and wrong ones are refused."""

import pytest
import torch
from pydantic import ValidationError

from gauntlet import Attack, Goal
from gauntlet.pipeline.attacks.part import catalogue
from gauntlet.pipeline.attacks.penalties.interaction import InteractionPenalty
from tests.toys.penalties import TOKENS
from tests.toys.surrogates import (
    SmallNet,
    class_batch,
    images,
    run_float,
)

PROBES = {
    "ir": {
        "grid": 2, "borders": "floor", "utility": "loss", "lambda_code": 9.0, "sets": 5,
        "cells": 2, "noise": "clean-sum",
    },
    "ir-mean": {
        "grid": 2, "borders": "floor", "utility": "margin-anew", "lambda_mean": 900.0,
        "samples": 3, "noise": "clean-sum",
    },
    "ir-closed": {
        "lambda_sum": 4.0, "at": "point", "self_terms": "remove", "grid": 2, "samples": 3,
    },
    "interaction-only": {
        "grid": 2, "borders": "floor", "utility": "loss", "sets": 5, "cells": 2,
        "official_start": True, "guard": False,
    },
}  # fmt: skip


def probe(token, field):
    """The part's other options, and the base, under which a field has its effect."""
    if field == "official_start":
        return {"grid": 4, "guard": False}, token
    if field == "guard":
        return {"grid": 4, "official_start": True}, token
    if field == "noise":
        return {"grid": 4}, f"vr+{token}"
    if token != "ir-closed":
        return {"grid": 3 if field == "grid" else 4}, f"pgd+{token}"
    if field in ("grid", "samples"):
        return {"self_terms": "remove", "grid": 4}, f"pgd+{token}"
    return ({"grid": 4} if field == "self_terms" else {}), f"pgd+{token}"


def test_trap_18_every_option_of_every_penalty_changes_something():
    parts = {part.token: part for part in catalogue() if part.token in TOKENS}
    assert set(parts) == set(TOKENS)
    assert all(issubclass(parts[t], InteractionPenalty) for t in TOKENS if t != "ir-closed")
    batch, net = class_batch(images(3, shape=(3, 11, 11))), SmallNet(0, gain=3.0)

    def attacked(base, options):
        noise = {"vr": {"m": 2, "sigma": 0.1}} if "vr" in base else {}
        given = {"steps": 3, "name": "same draws", "epsilon": "16/255", "normalise": "l2rms"}
        attack = Attack(base=base, options={base.split("+")[-1]: options, **noise}, **given)
        return run_float(attack, batch, [net]).images

    for token, part in parts.items():
        assert set(PROBES[token]) == set(part.model_fields), token
        for field, value in PROBES[token].items():
            same, base = probe(token, field)
            changed = attacked(base, {**same, field: value})
            if field == "official_start":
                base, same = f"pgd+{token}", {"grid": 4}  # without it `pgd` is needed
            elif field == "self_terms":
                same = {}  # without it `grid` is refused
            assert not torch.equal(attacked(base, same), changed), f"{token}.{field}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "interaction-only"}, "no gradient at the clean image: add pgd"),
        (
            {"base": "pgd+interaction-only", "options": {"interaction-only": {"guard": False}}},
            "no effect on a random start",
        ),
        ({"base": "ir", "options": {"ir": {"noise": "clean-sum"}}}, "no effect without a view"),
        (
            {"base": "vr-ghost+ir", "options": {"ir": {"noise": "clean-sum"}}},
            "needs a surgery without random draws",
        ),
        ({"base": "ir", "combine": "ens-logits"}, "'ens-logits' fuses outputs, and ir"),
        ({"base": "ir-ir-mean"}, "more than one penalty: ir, ir-mean"),
        ({"base": "ir", "objective": "fi"}, "ir needs an objective on the outputs, and 'fi'"),
        ({"base": "ir-closed", "objective": "fi"}, "ir-closed needs an objective on the outputs"),
        ({"base": "ir-closed", "objective": "margin"}, "'margin' has no curvature"),
        ({"base": "ir-closed", "options": {"ir-closed": {"samples": 2}}}, "only with `self_terms"),
        ({"base": "linbp+ir-closed"}, "no linear map: set options.linbp.renormalise: false"),
        ({"base": "ir-mean", "options": {"ir-mean": {"samples": 256}}}, "below the grid's 256"),
        ({"base": "ir", "options": {"ir": {"lambda": 1}}}, "unknown field 'lambda'"),
    ],
)
def test_trap_18_a_wrong_penalty_is_refused_by_name(fields, message):
    with pytest.raises(ValidationError, match=message):
        Attack(**fields)


def test_an_objective_that_nothing_asks_for_is_refused():
    loss = {"interaction-only": {"utility": "loss"}}
    fields = {"base": "pgd+interaction-only", "objective": "logit"}
    with pytest.raises(ValueError, match="objective 'logit' has no effect, the utility is the mar"):
        Attack(**fields).method(Goal.UNTARGETED, 192)
    assert Attack(**fields, options=loss).method(Goal.UNTARGETED, 192).query.penalty is not None


def test_faces_refuse_a_margin():
    given = Attack(base="ir", options={"ir": {"utility": "margin"}})
    with pytest.raises(ValueError, match="faces have no 'margin' utility"):
        given.method(Goal.IMPERSONATION, 192)
    assert given.method(Goal.UNTARGETED, 192).query.penalty is not None


def test_a_grid_finer_than_the_image_is_refused():
    batch = class_batch(images(2))
    with pytest.raises(ValueError, match="16 x 16 grid on an image of 8 x 8"):
        run_float(Attack(base="ir"), batch, [SmallNet(0)])


def test_the_scale_of_lambda_is_printed_with_it():
    shown = {
        base: str(Attack(base=base).summary()["parts"])
        for base in ("mi+ir", "ir-mean", "ir-closed")
    }
    assert "lambda_code=1.0" in shown["mi+ir"]
    assert "lambda_mean=6805.0" in shown["ir-mean"]
    assert "lambda_sum=0.5" in shown["ir-closed"]
