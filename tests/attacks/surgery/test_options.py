"""Every option of every surgery changes the gradient. A new field needs a probe here."""

import json

import pytest
import torch

from gauntlet import Attack, adapt
from gauntlet.pipeline.attacks.part import Place, catalogue
from gauntlet.pipeline.oracle import InProcessOracle
from tests.attacks.surgery.test_in_attacks import batch, gradient, small

LAMBDAS = (0.9, 0.8, 0.5)
PROBES = {
    ("sgm", "gamma"): ({}, 0.5),
    ("sgm", "skip_first"): ({}, False),
    ("linbp", "start"): ({}, 2),
    ("linbp", "inside_branches"): ({}, False),
    ("linbp", "renormalise"): ({}, False),
    ("ghost", "tau"): ({}, 0.1),
    ("ghost", "p"): ({}, 0.1),
    ("ghost", "per_channel"): ({}, False),
    ("ia", "beta"): ({"lambdas": LAMBDAS}, 9.0),
    ("ia", "lambdas"): ({"lambdas": LAMBDAS}, (0.5, 0.5, 0.5)),
    ("ia", "search"): ({"lambdas": LAMBDAS}, None),
}


def test_every_field_has_a_probe():
    parts = [part for part in catalogue() if part.place is Place.SURGERY]
    assert {(part.token, field) for part in parts for field in part.model_fields} == set(PROBES)


@pytest.mark.parametrize(("token", "field"), PROBES)
def test_trap_18_every_option_of_a_surgery_changes_something(token, field, tmp_path):
    same, value = PROBES[token, field]
    if field == "search":
        found = tmp_path / "found.json"
        found.write_text(json.dumps({"beta": 9.0, "lambdas": LAMBDAS}))
        value = str(found)
    given, oracle = batch(), InProcessOracle([adapt(small(), name="m")])
    plain, changed = (
        gradient(oracle, Attack(name="a", base=token, options={token: options}), given)
        for options in (same, {**same, field: value})
    )
    assert not torch.equal(plain, changed)
