"""The lines of the README and of the notebook page work as they are written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from tests.toys.runs import QUICKSTART

ROOT = Path(__file__).resolve().parents[1]


def blocks(path: str, heading: str) -> list[str]:
    """The Python blocks from a heading on."""
    text = (ROOT / path).read_text().partition(heading)[2]
    return re.findall(r"```python\n(.*?)```", text.partition("\n## Where the work")[0], re.S)


def given(examples: int) -> dict[str, Any]:
    """What the lines take for granted: somebody's networks and images."""
    data = np.load(QUICKSTART / "shapes.npz")
    images = torch.from_numpy(data["images"][:examples]).permute(0, 3, 1, 2).double().div(255)
    labels = torch.from_numpy(data["labels"][:examples]).long()
    names = {"net_a": "plain", "net_b": "separable", "net_c": "residual"}
    nets = {
        name: build(ModelSpec(name=net, source=f"quickstart/{net}")).network
        for name, net in names.items()
    }
    zero, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return {"images": images.float(), "labels": labels, "mean": zero, "std": one, **nets}


def test_the_ten_lines_give_three_attacks_on_three_targets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (lines,) = blocks("README.md", "## As a library")
    assert len(lines.splitlines()) <= 11  # ten, and an empty one
    exec(lines, given(16))
    printed = capsys.readouterr().out.split()
    assert printed[:6] == ["target", "b", "c", "wide", "attack", "di-mi/ens/linf-8"]
    assert len(printed) == 17


def test_the_notebook_page_works_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = np.load(QUICKSTART / "shapes.npz")
    np.savez("images.npz", images=data["images"][:8], labels=data["labels"][:8])
    names = given(8)
    names["made_elsewhere"] = names["images"].flip(3)
    for block in blocks("docs/library.md", "# In a notebook"):
        exec(block, names)
    assert len(names["made"].verdicts) == 16
