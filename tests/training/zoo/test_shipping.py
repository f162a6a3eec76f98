"""Weights are written in half precision, with a checksum file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.training.zoo import shipping
from gauntlet.pipeline.training.zoo.train import begin
from tests.toys.faces import small_pool, small_recipe


def test_recording_one_file_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "s1.safetensors").write_bytes(b"x")
    shipping.record("s1", tmp_path)
    digest = weights.checksums(tmp_path)["s1.safetensors"]
    (tmp_path / "n1.safetensors").write_bytes(b"y")
    shipping.record("n1", tmp_path)
    sums = weights.checksums(tmp_path)
    assert sums["s1.safetensors"] == digest
    assert list(sums) == ["n1.safetensors", "s1.safetensors"]


def test_values_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    network = begin(small_recipe(), small_pool(tmp_path), None).network
    with torch.no_grad():
        next(network.parameters())[0] = 1e6
    with pytest.raises(BadInput, match=r"beyond half precision: features\.0\.0\.weight"):
        shipping.store(network, tmp_path / "x.safetensors", {})
