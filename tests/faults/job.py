"""The small job that is disturbed, and what an undisturbed run of it came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gauntlet.pipeline.results.record.entries import Link, read_line
from tests.faults.gates import Gates

EXAMPLES, BATCH = 24, 4
PLACEMENTS = ("in-process", "packed", "pinned")


def _model(name: str, seed: int, role: str) -> dict[str, Any]:
    source = "import:tests.faults.networks:network"
    return {"name": name, "source": source, "options": {"seed": seed, "role": role}}


ATTACKS = (
    {"base": "i", "steps": 3},
    {"base": "mi-di", "steps": 4},
    {"base": "mi", "combine": "rgea", "steps": 4},
)


def write(
    folder: Path, pixels: int = 8, attacks: Sequence[dict[str, Any]] = (), **resources: Any
) -> Path:
    """Write the job and its images; return its file.

    Args:
        folder: takes both.
        pixels: in a row of an image.
        attacks: of the job; by default `ATTACKS`.
        resources: of the job.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = (EXAMPLES, pixels, pixels, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(folder / "images.npz", images=images, labels=np.arange(EXAMPLES) % 5)
    content = {
        "name": "disturbed",
        "task": {"kind": "classification", "goal": "untargeted"},
        "root": str(folder),
        "data": {"source": "npz", "path": "images.npz"},
        "surrogates": [_model(f"s{number}", number, "surrogate") for number in range(2)],
        "targets": [_model(f"t{number}", 2 + number, "target") for number in range(2)],
        "attacks": [*(attacks or ATTACKS)],
        "resources": {"batch": BATCH, "threads": 1, "part_seconds": 0, "fold": False} | resources,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def links(run: Path) -> list[Link]:
    """Return the entries of a run's record that are what was written, in the files' order."""
    found = []
    for path in sorted((run / "record").glob("*.json*")):
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                found.append(read_line(line)[0])
            except (ValueError, RecursionError):
                continue
    return found


@dataclass(frozen=True)
class Undisturbed:
    """What a run came to that nothing happened to.

    Attributes:
        run: its folder.
        gates: its gates, which counted.
    """

    run: Path
    gates: Gates

    @cached_property
    def entries(self) -> int:
        """Entries of the record."""
        return len(links(self.run))

    def passes(self, role: str) -> int:
        """Passes of the models of a role."""
        return self.gates.passes(role)
