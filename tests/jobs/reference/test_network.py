"""`gauntlet models inspect`: a dry run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.reference.network import bare_network, inspect, surgeries, touched
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.problems import BadInput


def printed(source: str, **fields: Any) -> str:
    stream = io.StringIO()
    inspect(source, Terminal(file=stream, width=140), **fields)
    return stream.getvalue()


def test_it_prints_branches_touched_nodes_and_layers() -> None:
    text = printed("torchvision/resnet18", surgery="sgm,linbp", list_layers=True, size=32)
    text = " ".join(text.split())
    assert "layer2.0 sum 1 projected yes" in text
    assert text.count("scale_gradient(0.2)") == 4
    assert text.count("straight_through") == 3
    assert "default layer: layer2" in text
    assert "128 x 4 x 4" in text


def test_the_surgeries_act_in_the_order_of_an_attack() -> None:
    chosen = surgeries("sgm, ghost,linbp")
    assert [surgery.token for surgery in chosen] == ["ghost", "linbp", "sgm"]
    network, _ = bare_network("facenet/vggface2", Path("."))
    found = touched(network, chosen)
    assert [one.surgery for one in found] == sorted(one.surgery for one in found)
    assert sum(one.what == "erode_skip(0.22)" for one in found) == 21
    assert {one.layer for one in found if one.surgery == "sgm"} >= {"repeat_1.0", "block8"}


def test_a_network_without_branches_says_so() -> None:
    assert "torchvision/vgg11: no residual branches" in printed("torchvision/vgg11")


@pytest.mark.parametrize(
    ("source", "surgery", "message"),
    [
        ("torchvision/resnet99", "", "unknown torchvision model"),
        ("torchvision/resnet18", "sgn", "did you mean 'sgm'"),
        ("resnet18", "", "did you mean 'timm/resnet18' or 'torchvision/resnet18'"),
        ("resnet50.a1_in1k", "", r"did you mean 'timm/resnet50\.a1_in1k'\?"),
        ("torchvision/vgg11", "sgm", "no residual sums"),
        ("file:nowhere.pth", "", "nowhere.pth"),
    ],
)
def test_what_cannot_be_inspected_is_said(source: str, surgery: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        printed(source, surgery=surgery)


def test_the_input_has_a_side() -> None:
    arguments = ["models", "inspect", "torchvision/resnet18", "--layers", "--input", "0"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "--input" in result.stderr


def test_one_of_several_state_dicts_is_inspected(tmp_path: Path) -> None:
    state = ARCHITECTURES["cifar-resnet-20"].constructor().state_dict()
    other = {name: value.clone() for name, value in state.items()}
    torch.save({"model": state, "ema": other}, tmp_path / "net.pt")
    fields = {"architecture": "cifar-resnet-20", "root": tmp_path}
    with pytest.raises(BadInput, match="choose one by `key`"):
        printed("file:net.pt", **fields)
    assert "layer3.2 sum" in " ".join(printed("file:net.pt", key="ema", **fields).split())
