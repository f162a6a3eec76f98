"""Which files models lack, and how they come to their places."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from gauntlet.pipeline.models.build import check
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.source import Missing
from gauntlet.pipeline.models.wanted import fetch, wanted
from gauntlet.pipeline.problems import BadInput
from tests.toys.server import served

FILE = save({"weight": torch.ones(3)})


def spec(source: str, **fields: Any) -> ModelSpec:
    return ModelSpec(name=source.rpartition("/")[2], source=source, **fields)


def test_every_missing_file_is_told_once_with_address_place_and_size(caches: Path) -> None:
    several = spec("mean:logits", members=(spec("torchvision/resnet18"), spec("zoo/s1")))
    first, *others = wanted(
        [
            spec("torchvision/resnet18"),
            several,
            spec("timm/inception_v4.tf_in1k"),
            spec("facenet/vggface2"),
            spec("torchvision/resnet18", options={"pretrained": False}),
            spec("timm/resnet18.a1_in1k", options={"pretrained": False}),
        ],
        Path(),
    )
    assert first.models == ("resnet18", "mean:logits")
    assert first.missing == Missing(
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        caches / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth",
        sha256="f37072fd",
        size=first.missing.size,
    )
    assert round((first.missing.size or 0) / 1e6) == 47
    assert [one.missing.path.name for one in others] == [
        "model.safetensors",
        "20180402-114759-vggface2.pt",
    ]
    first.missing.path.parent.mkdir(parents=True)
    first.missing.path.write_bytes(b"")
    assert len(wanted([several], Path())) == 0


@pytest.mark.parametrize(
    ("fetch", "direct"),
    [
        ("https://h/a.pth", True),
        ("https://h/page", False),
        ("IR-50, by way of github.com/x", False),
        (None, False),
    ],
)
def test_a_job_says_where_a_file_can_be_had(
    fetch: str | None, direct: bool, tmp_path: Path
) -> None:
    for source in ("file:nets/a.pth", "trained:nets/a.pth"):
        (found,) = wanted([spec(source, fetch=fetch, sha256="00ff00ff")], tmp_path)
        assert found.missing == Missing(fetch or "", tmp_path / "nets/a.pth", direct, "00ff00ff")


def test_only_files_are_fetched(tmp_path: Path) -> None:
    (problem,) = check(spec("zoo/s1", fetch="https://h/a.pth"), tmp_path)
    assert str(problem) == "fetch: only a file: source takes one, not 'zoo/s1'"


def test_a_checkpoint_is_fetched_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    place = tmp_path / "nets" / "net.safetensors"
    with served() as files:
        files.content = {"/net": FILE, "/page": b"<!DOCTYPE html><html>sign in</html>"}
        with pytest.raises(BadInput, match="this is a web page"):
            fetch(Missing(f"{files.address}/page", place))
        with pytest.raises(BadInput, match="SHA-256 does not begin with 00"):
            fetch(Missing(f"{files.address}/net", place, sha256="00"))
        with pytest.raises(BadInput, match=r"/nothing cannot be downloaded: .*Not Found"):
            fetch(Missing(f"{files.address}/nothing", place))
        assert [path.name for path in place.parent.iterdir()] in ([], ["net.safetensors.part"])
        fetch(Missing(f"{files.address}/net", place, sha256=hashlib.sha256(FILE).hexdigest()))
        gone = files.address
    assert place.read_bytes() == FILE
    with pytest.raises(BadInput, match=r"cannot be downloaded: .*refused"):
        fetch(Missing(f"{gone}/net", tmp_path / "other"))
    with pytest.raises(BadInput, match="to be fetched by hand, from somewhere"):
        fetch(Missing("somewhere", tmp_path / "other", direct=False))


def test_without_a_network_a_line_says_so(tmp_path: Path, caches: Path) -> None:
    with pytest.raises(BadInput, match="cannot be downloaded: HF_HUB_OFFLINE is set"):
        fetch(Missing("https://h/net.pth", tmp_path / "net.pth"))
