"""What a job may tell the constructors of packages: nothing that makes them read a file."""

from __future__ import annotations

import math
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torchvision import models

from gauntlet.pipeline.models.build import build, check
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.constructors import allowed_options, weights_only
from gauntlet.pipeline.problems import BadInput


class Evil:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def spec(source: str, options: dict[str, Any]) -> ModelSpec:
    return ModelSpec(name="m", source=source, options={"pretrained": False, **options})


@pytest.mark.parametrize(
    "option",
    [
        "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir",
        "pretrained_filter_fn", "pretrained_strict", "kwargs_filter", "device", "features_only",
    ],
)  # fmt: skip
def test_timm_gets_no_option_that_reads(option: str, tmp_path: Path) -> None:
    mark, file = tmp_path / "mark", tmp_path / "evil.pth"
    torch.save({"state_dict": Evil(mark)}, file)
    made = spec("timm/mobilenetv3_small_050", {option: str(file)})
    (problem,) = check(made, tmp_path)
    assert problem.where == "options"
    assert option in problem.what
    with pytest.raises(BadInput):
        build(made, root=tmp_path)
    assert not mark.exists()


def test_the_message_says_how_weights_of_ones_own_are_written(tmp_path: Path) -> None:
    (problem,) = check(spec("timm/resnet18", {"checkpoint_path": "w.pth"}), tmp_path)
    assert problem.what == (
        "timm/resnet18 takes no 'checkpoint_path': weights of yours are a source of their own, "
        "'trained:FILE' with 'options: {source: timm/resnet18}'"
    )
    network = timm.create_model("mobilenetv3_small_050", num_classes=7)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    options = {"source": "timm/mobilenetv3_small_050", "num_classes": 7}
    own = ModelSpec(name="m", source="trained:w.pth", options=options)
    model = build(own, root=tmp_path)
    assert torch.equal(model.network.conv_stem.weight, network.conv_stem.weight)  # type: ignore[arg-type,union-attr]
    assert model.input_size == (224, 224)
    assert model.preprocessing.mean is not None
    mark = tmp_path / "mark"
    torch.save({"state_dict": Evil(mark)}, tmp_path / "w.pth")
    (problem,) = check(own, tmp_path)
    assert problem.where == "source"
    assert "refused" in problem.what
    assert not mark.exists()


@pytest.mark.parametrize("option", ["weights_backbone", "progress", "block", "device"])
def test_torchvision_gets_no_option_beyond_its_class(option: str, tmp_path: Path) -> None:
    found = check(spec("torchvision/squeezenet1_1", {option: "x"}), tmp_path)
    assert [problem.where for problem in found] == ["options"]
    assert option in found[0].what


def test_what_constructors_take_is_still_taken(tmp_path: Path) -> None:
    for source, options in (
        ("timm/resnet18", {"num_classes": 0, "global_pool": "max", "drop_rate": 0.1}),
        ("timm/vit_tiny_patch16_224", {"img_size": 96, "dynamic_img_size": True}),
        ("timm/efficientvit_b0", {"num_classes": 5}),  # its function says no class
        ("torchvision/regnet_y_400mf", {"num_classes": 5}),  # its class computes with values
        ("torchvision/vit_b_16", {"image_size": 64, "num_classes": 5}),
        ("torchvision/inception_v3", {"transform_input": True}),
    ):
        assert check(spec(source, options), tmp_path) == [], source


def test_nonsense_in_an_option_is_one_problem(tmp_path: Path) -> None:
    for source, options in (
        ("torchvision/vit_b_16", {"image_size": 33}),
        ("torchvision/squeezenet1_1", {"version": "1_9"}),
        ("timm/resnet18", {"global_pool": "best"}),
        ("timm/resnet18", {"output_stride": 7}),
        ("timm/resnet18", {"act_layer": "../../evil"}),
    ):
        found = check(spec(source, options), tmp_path)
        assert [problem.where for problem in found] == ["options"], source


def test_no_allowed_option_of_any_timm_or_torchvision_network_reads() -> None:
    """Over all networks whose class is known without making them."""
    entries = [timm.model_entrypoint(name) for name in timm.list_models()]
    entries += [models.get_model_builder(name) for name in models.list_models(module=models)]
    allowed: set[str] = set()
    for entry in entries:
        if isinstance(entry.__annotations__.get("return"), type):
            allowed |= allowed_options(entry, lambda: pytest.fail("was made"))
    assert {"num_classes", "img_size", "drop_rate", "image_size"} <= allowed
    words = {word.rstrip("s") for name in allowed for word in name.split("_")}
    assert not words & {"path", "dir", "file", "url", "cfg", "cache", "load", "checkpoint"}


def test_packages_read_their_files_with_weights_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark, file = tmp_path / "mark", tmp_path / "evil.pth"
    torch.save(Evil(mark), file)
    with weights_only(), pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=False)
    assert not mark.exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_a_cached_file_of_timm_is_read_with_weights_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name, mark = "mobilenetv3_small_050.lamb_in1k", tmp_path / "mark"
    put = tmp_path / "hub" / f"models--timm--{name}" / "snapshots" / "main" / "pytorch_model.bin"
    put.parent.mkdir(parents=True)
    torch.save({"state_dict": Evil(mark)}, put)
    with pytest.raises(BadInput, match=r"refused: this pickle|the weights of timm/"):
        build(ModelSpec(name="m", source=f"timm/{name}"))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("timm/vit_tiny_patch16_224", {"depth": 1_000_000_000}, "depth must be from 0 to 1,000"),
        ("torchvision/resnet18", {"num_classes": -5}, "num_classes must be from 0 to 100,000"),
        ("timm/resnet18", {"drop_rate": math.nan}, "drop_rate must be from 0"),
    ],
)
def test_numbers_out_of_bounds_are_refused_before_anything_is_made(
    source: str, options: dict[str, float], words: str
) -> None:
    found = check(spec(source, options), Path())
    assert [problem.where for problem in found] == ["options"]
    assert words in found[0].what
