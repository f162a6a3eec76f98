"""Faces that a known transform has put out of place are brought back to where they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.acceptance.out_of_place import distances


@pytest.mark.slow
def test_faces_of_orl_are_found_and_brought_back(data_root: Path) -> None:
    with np.load(data_root / "orl-faces-112.npz") as archive:
        images, names = archive["images"][::10], archive["files"][::10].tolist()
    found = [distance for distance in distances(images, names, moved=True) if distance is not None]
    assert len(found) >= 39
    assert np.median(found) < 3.5
