"""Checkpoints as people have them: wrapped, prefixed, beside others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gauntlet.pipeline.models.checkpoint import (
    inspect_checkpoint,
    load_checkpoint,
    read_checkpoint,
    weights_fingerprint,
)
from gauntlet.pipeline.models.matching import better_architecture
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.file_source import FileSource
from gauntlet.pipeline.problems import BadInput


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))


def state(width: int = 3, prefix: str = "") -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {prefix + name: value for name, value in network(width).state_dict().items()}


def optimiser() -> dict[str, Any]:
    moments = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}
    return {"state": {0: moments, 1: moments}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}


def loaded(path: Path, key: str | None = None) -> str:
    made = network()
    load_checkpoint(path, made, "net", key=key)
    return weights_fingerprint(made)


def message(path: Path, key: str | None = None, width: int = 3) -> str:
    with pytest.raises(BadInput) as caught:
        load_checkpoint(path, network(width), "net", key=key)
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    return problem.what


def sound() -> str:
    made = network()
    made.load_state_dict(state())
    return weights_fingerprint(made)


SOUND = sound()


@pytest.mark.parametrize(
    "content",
    [
        {"net_state_dict": state(), "optimizer": optimiser(), "epoch": 3},
        {"model_state": state(), "best": 0.9},
        {"ema": state()},
        {"network": {"state_dict": state()}, "rng": torch.zeros(8, dtype=torch.uint8)},
        {"backbone": state(prefix="module.")},
        {"G": state()},
        [{"state_dict": state(prefix="_orig_mod.module.")}, optimiser()],
        (1, [state()]),
        {"a": {"b": [{"c": {"weights": state(prefix="backbone.")}}]}},
        {"model": state(), "discriminator": state(5), "scaler": {"scale": torch.ones(1)}},
        state(prefix="model.net."),
    ],
)
def test_any_single_nesting_is_unwrapped(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "net.pt")
    assert loaded(tmp_path / "net.pt") == SOUND


def test_a_mapping_that_two_ways_lead_to_is_one(tmp_path: Path) -> None:
    same = state()
    torch.save({"model": same, "state_dict": same}, tmp_path / "net.pt")
    assert read_checkpoint(tmp_path / "net.pt").keys() == same.keys()


def test_of_several_that_fit_the_person_chooses(tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in state().items()}
    path = tmp_path / "net.pt"
    torch.save({"model": other, "ema": {"shadow": state()}, "head": state(5)}, path)
    assert message(path) == (
        "it holds 'model' (7 tensors), 'ema.shadow' (7 tensors), which all fit net: choose one by "
        "`key`"
    )
    assert loaded(path, "ema.shadow") == loaded(path, "ema") == SOUND
    assert loaded(path, "model") != SOUND
    assert "unknown key 'modell'; did you mean 'model'" in message(path, "modell")
    assert message(path, "head").startswith("the checkpoint does not fit net: 6 misshaped: 0.wei")
    with pytest.raises(BadInput, match=r"it holds 'model'.*'head'.*'ema\.shadow'.*by `key`"):
        inspect_checkpoint(path)


def test_a_key_chooses_among_prefixes_of_flat_names(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({**state(prefix="ema."), **state(5, prefix="model.")}, path)
    assert loaded(path, "ema") == SOUND
    assert "unknown first part of the names 'eba'; did you mean 'ema'" in message(path, "eba")
    assert "7 missing" not in message(path)  # the counter is none of the network's own entries
    assert "6 missing: 0.weight" in message(path)


def test_prefixes_go_only_where_that_makes_them_fit(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(state(prefix="0."), path)  # the network's own names begin with numbers
    assert loaded(path) == SOUND
    torch.save(state(5, prefix="module."), path)
    assert "6 misshaped: 0.weight (network [3, 3, 3, 3], checkpoint [5, 3, 3, 3])" in message(path)
    torch.save({**state(prefix="module."), "extra": torch.ones(1)}, path)
    assert "6 missing: 0.weight" in message(path)
    assert "7 unexpected: module.0.weight" in message(path)


def test_a_misfit_names_what_it_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({"generator": state(5), "rng": {"cpu": torch.ones(3)}}, path)
    assert "it holds 'generator' (7 tensors), 'rng' (1 tensors), of which 'generator'" in message(
        path
    )
    torch.save({"epoch": 3}, path)
    assert message(path) == "expected a state dict of tensors, found 'epoch' of type int"
    torch.save({}, path)
    assert message(path) == "expected a state dict of tensors, found an empty mapping"


def test_an_architecture_is_hinted_at_only_when_it_nearly_fits() -> None:
    from gauntlet.pipeline.models.architectures import ARCHITECTURES

    entries = ARCHITECTURES["cifar-resnet-32"].constructor().state_dict()
    assert better_architecture(entries) == "it matches architecture 'cifar-resnet-32' exactly"
    wrapped = {f"backbone.{name}": value for name, value in entries.items()}
    assert better_architecture(wrapped) == "it matches architecture 'cifar-resnet-32' exactly"
    entries["linear.weight"], entries["linear.bias"] = torch.zeros(100, 64), torch.zeros(100)
    assert better_architecture(entries) == (
        f"it nearly matches architecture 'cifar-resnet-32' (2 of {len(entries)} entries differ)"
    )
    assert better_architecture({n: v for n, v in entries.items() if "layer3" not in n}) is None
    assert better_architecture(state()) is None


def test_the_key_of_a_job_reaches_the_file(tmp_path: Path) -> None:
    from gauntlet.pipeline.models.architectures import ARCHITECTURES
    from gauntlet.pipeline.models.build import build, check

    made = ARCHITECTURES["cifar-resnet-20"].constructor().state_dict()
    other = {n: v + 1 if v.is_floating_point() else v for n, v in made.items()}
    torch.save({"model": other, "ema": made}, tmp_path / "net.pt")
    spec = ModelSpec(name="m", source="file:net.pt", architecture="cifar-resnet-20")
    (problem,) = FileSource().problems("net.pt", spec, tmp_path)
    assert "choose one by `key`" in problem.what
    chosen = build(spec.model_copy(update={"key": "ema"}), root=tmp_path)
    assert torch.equal(chosen.network.state_dict()["conv1.weight"], made["conv1.weight"])
    (problem,) = check(ModelSpec(name="m", source="zoo/s1", key="ema"), tmp_path)
    assert str(problem) == "key: only a file: source takes one, not 'zoo/s1'"
    assert "key" not in spec.model_dump()  # what stands for a spec without it stays the same
