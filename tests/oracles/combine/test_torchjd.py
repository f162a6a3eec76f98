"""TorchJD's aggregators as rules (specification 4)."""

import pytest
import torch
import torch.nn.functional as F

from gauntlet.pipeline.attacks.combine.torchjd import TorchJd, aggregator_names
from gauntlet.pipeline.attacks.recipe import Attack
from tests.toys.ensembles import NETS
from tests.toys.surrogates import (
    class_batch,
    images,
    run_float,
)


@pytest.mark.parametrize("name", ["upgrad", "mgda", "imtlg", "alignedmtl", "dualproj", "pcgrad"])
def test_torchjd_aggregators_are_rules_and_ascend(name):
    batch = class_batch(images(3))
    assert batch.labels is not None
    attack = Attack(combine=f"torchjd/{name}", steps=3)
    found = run_float(attack, batch, NETS).images
    again = run_float(attack, batch, NETS).images
    assert torch.equal(found, again)
    for net in NETS:
        before = F.cross_entropy(net(batch.images), batch.labels)
        assert F.cross_entropy(net(found), batch.labels) > before


def test_torchjd_imtlg_is_rgea_up_to_scale():
    batch = class_batch(images(3))
    a = run_float(Attack(combine="torchjd/imtlg", steps=3), batch, NETS).images
    b = run_float(Attack(combine="rgea", steps=3), batch, NETS).images
    assert torch.allclose(a, b, atol=1e-7)


def test_torchjd_arguments_and_unknown_names():
    assert "UPGrad" in aggregator_names()
    attack = Attack(combine="torchjd/cagrad", options={"torchjd": {"arguments": {"c": 0.5}}})
    assert isinstance(attack.rule, TorchJd)
    assert (attack.rule.aggregator, attack.rule.arguments) == ("CAGrad", {"c": 0.5})
    assert Attack.model_validate_json(attack.model_dump_json()).rule == attack.rule
    with pytest.raises(ValueError, match="unknown aggregator 'upgradd'; did you mean 'UPGrad'"):
        Attack(combine="torchjd/upgradd")
