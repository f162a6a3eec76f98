"""What is worked out a few examples at a time."""

from __future__ import annotations

import pytest
import torch

from gauntlet import Attack
from gauntlet.pipeline import norms
from gauntlet.pipeline.norms import by_rows
from tests.toys.surrogates import SmallNet, class_batch, images, run_float


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7, 8])
def test_rows_come_back_in_order_and_never_one_of_several_alone(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(norms, "_IN_CACHE", 1)
    given, seen = torch.arange(5.0 * rows).reshape(rows, 5), []

    def doubled(some: torch.Tensor) -> torch.Tensor:
        seen.append(len(some))
        return 2 * some

    assert torch.equal(by_rows(doubled, given), 2 * given)
    assert sum(seen) == rows
    assert rows < 2 or min(seen) >= 2
    assert rows < 4 or len(seen) > 1


@pytest.mark.parametrize(
    "fields",
    [
        {"base": "mi", "combine": "rgea"},
        {"base": "ni", "combine": "ens", "norm": "l2"},
        {"base": "pgd-mi", "combine": "svre"},
        {"base": "pi"},
        {"base": "relaxed", "combine": "mgda", "norm": "l2"},
    ],
    ids=str,
)
def test_an_attack_is_the_same_to_the_bit_whatever_goes_together(
    fields: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = class_batch(images(7)).to("cpu", torch.float32)
    nets = [SmallNet(seed).float() for seed in range(3)]
    whole = run_float(Attack(steps=3, **fields), batch, nets)
    monkeypatch.setattr(norms, "_IN_CACHE", 1)
    few = run_float(Attack(steps=3, **fields), batch, nets)
    assert torch.equal(few.images, whole.images)
    assert torch.equal(few.trace.l2rms, whole.trace.l2rms)
    assert torch.equal(few.trace.linf, whole.trace.linf)
