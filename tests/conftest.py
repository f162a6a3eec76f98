"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the acceptance data: real images and pretrained checkpoints."""
    default = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    root = Path(os.environ.get("GAUNTLET_DATA", default))
    if not (root / "orl-pairs.csv").is_file():
        pytest.skip(f"no acceptance data in {root}; set GAUNTLET_DATA to its folder")
    return root


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep thresholds found by tests out of the user's cache."""
    os.environ["GAUNTLET_CACHE"] = str(tmp_path_factory.mktemp("cache"))
