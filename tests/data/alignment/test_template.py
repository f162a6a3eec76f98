"""The least-squares similarity, beside what it must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.pipeline.data.alignment.template import SIZES, applied, similarity, template


def moved(points: np.ndarray, degrees: float, scale: float, x: float, y: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return scale * points @ rotation.T + (x, y)


@given(st.floats(-180, 180), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_again(degrees: float, scale: float, x: float, y: float) -> None:
    points = template((112, 112))
    found = similarity(moved(points, degrees, scale, x, y), points)
    assert np.allclose(applied(found, moved(points, degrees, scale, x, y)), points, atol=1e-6)


def test_no_similarity_is_nearer_and_none_mirrors() -> None:
    draw = np.random.default_rng(0)
    source, target = draw.normal(size=(5, 2)), draw.normal(size=(5, 2))
    found = similarity(source, target)
    assert np.linalg.det(found[:, :2]) > 0
    best = ((applied(found, source) - target) ** 2).sum()
    for _ in range(200):
        # Similarities near it: a + ib is rotation and scale in one.
        a, b, x, y = draw.normal(scale=0.05, size=4)
        near = found + np.array([[a, -b, x], [b, a, y]])
        assert ((applied(near, source) - target) ** 2).sum() > best
    mirrored = similarity(source * (-1, 1), source)
    assert np.linalg.det(mirrored[:, :2]) > 0
    with pytest.raises(ValueError, match="no scale"):
        similarity(np.ones((5, 2)), target)


def test_templates_are_those_of_the_authors() -> None:
    wide, narrow, large = (template(size) for size in SIZES.values())
    assert np.allclose(wide[0], (38.2946, 51.6963))
    # SphereFace's of 112 x 96, to the four digits of its authors.
    assert np.allclose(narrow[0], (30.2946, 51.6963))
    assert np.allclose(narrow[4], (62.7299, 92.2041))
    assert np.allclose(large, wide * 160 / 112)
