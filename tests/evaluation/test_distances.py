from __future__ import annotations

import numpy as np
import pytest
import torch

from gauntlet.pipeline.evaluation.distances import l2_distance, linf_distance


def test_units_are_eight_bit_steps() -> None:
    clean = torch.full((2, 3, 2, 2), 100 / 255)
    images = clean.clone()
    images[0] += 8 / 255
    images[1, 0, 0, 0] -= 6 / 255
    assert linf_distance(images, clean).tolist() == [8.0, 6.0]
    assert l2_distance(images, clean).tolist() == pytest.approx([8.0, 6 / np.sqrt(12)], abs=1e-4)
    assert linf_distance(clean, clean).tolist() == [0.0, 0.0]


def test_every_pair_of_eight_bit_values_has_a_whole_distance() -> None:
    values = torch.arange(256, dtype=torch.float32) / 255
    first = values[:, None].expand(256, 256).reshape(-1, 1, 1, 1)
    second = values[None].expand(256, 256).reshape(-1, 1, 1, 1)
    found = linf_distance(first, second)
    expected = np.abs(np.arange(256)[:, None] - np.arange(256)[None]).ravel()
    assert np.array_equal(found, expected)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="images have shape"):
        linf_distance(torch.zeros(1, 3, 2, 2), torch.zeros(2, 3, 2, 2))
