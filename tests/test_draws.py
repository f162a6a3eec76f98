"""Keyed random numbers: what they depend on, and what not."""

from typing import Any

import numpy as np
import pytest
import torch

from gauntlet.pipeline.draws import Draws

NAMES = tuple(f"image-{i}" for i in range(50))


def test_a_draw_depends_on_every_part_of_its_key_and_on_nothing_else():
    base: dict[str, Any] = {"seed": 0, "examples": NAMES, "attack": "a", "step": 3, "model": "m"}
    found = Draws.keyed(**base).uniform("p", (4,))
    assert torch.equal(found, Draws.keyed(**base).uniform("p", (4,)))
    for change in ({"seed": 1}, {"attack": "b"}, {"step": 4}, {"model": "n"}):
        assert not torch.equal(found, Draws.keyed(**{**base, **change}).uniform("p", (4,)))
    assert not torch.equal(found, Draws.keyed(**base).uniform("q", (4,)))
    index = torch.tensor([7, 3])
    assert torch.equal(found[index], Draws.keyed(**base).rows(index).uniform("p", (4,)))
    alone = Draws.keyed(**{**base, "examples": (NAMES[7],)}).uniform("p", (4,))
    assert torch.equal(found[7:8], alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_distributions(dtype):
    draws = Draws.keyed(0, NAMES)
    uniform = draws.uniform("u", (4000,), dtype=dtype)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(uniform.var()) == pytest.approx(1 / 12, abs=0.002)
    normal = draws.normal("n", (4000,), dtype=dtype)
    assert float(normal.mean()) == pytest.approx(0, abs=0.01)
    assert float(normal.std()) == pytest.approx(1, abs=0.01)
    assert float(normal.pow(4).mean()) == pytest.approx(3, abs=0.1)
    counts = np.bincount(draws.integers("i", 2, 7, (4000,)).flatten().numpy(), minlength=7)
    assert counts[:2].sum() == 0
    assert np.allclose(counts[2:] / counts.sum(), 0.2, atol=0.005)


def test_streams_of_rows_and_purposes_are_uncorrelated():
    draws = Draws.keyed(0, NAMES)
    rows = draws.uniform("u", (2000,), dtype=torch.float64)
    correlation = torch.corrcoef(
        torch.cat([rows, draws.uniform("v", (2000,), dtype=torch.float64)])
    )
    off = correlation - torch.eye(100, dtype=torch.float64)
    assert off.abs().max() < 6 / 2000**0.5


def test_an_empty_range_is_an_error():
    with pytest.raises(ValueError, match="low < high"):
        Draws.keyed(0, NAMES).integers("i", 3, 3)
