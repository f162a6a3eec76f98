"""Files of weights: what tells their network, and what is said where nothing does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.build import build, check, describe
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.file_source import candidates


def spec(**fields: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "m", "source": "file:net.pt", **fields})


def save(folder: Path, name: str) -> None:
    torch.save(ARCHITECTURES[name].constructor().state_dict(), folder / "net.pt")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a MobileFaceNet of a layout that four publishers have."""
    folder = tmp_path_factory.mktemp("shared")
    save(folder, "evolve-mobilefacenet")
    return folder


def test_the_entries_tell_the_architecture(tmp_path: Path) -> None:
    save(tmp_path, "robfr-mobileface")
    assert check(spec(), tmp_path) == []
    described = describe(spec(), tmp_path)
    assert str(described) == (
        "m: file:net.pt (robfr-mobileface, by its entries); verification; "
        "112x112 (bilinear), bgr, mean (0.5, 0.5, 0.5), std (0.502, 0.502, 0.502)"
    )
    model = build(spec(), root=tmp_path)
    assert model(torch.rand(1, 3, 112, 112)).shape == (1, 512)
    # What the job names is not guessed.
    assert "by its entries" not in str(describe(spec(architecture="robfr-mobileface"), tmp_path))


def test_options_are_of_the_architecture_that_is_looked_for(tmp_path: Path) -> None:
    state = ARCHITECTURES["cifar-resnet-20"].constructor(num_classes=100).state_dict()
    torch.save(state, tmp_path / "net.pt")
    assert f"(2 of {len(state)} entries differ)" in check(spec(), tmp_path)[0].what
    hundred = spec(options={"num_classes": 100})
    assert check(hundred, tmp_path) == []
    assert describe(hundred, tmp_path).classes == 100


def test_several_candidates_are_listed_and_the_job_names_one(shared: Path) -> None:
    (problem,) = check(spec(), shared)
    assert problem.where == "architecture"
    for name in ("evolve", "treb1en", "facexzoo"):
        assert f"{name}-mobilefacenet (112x112 (bilinear), " in problem.what
    assert "advmakeup-mobile-face (" in problem.what
    assert problem.what.startswith("its entries fit 4 networks")
    assert "gauntlet models verify" in problem.what
    assert len(candidates(shared / "net.pt", spec())) == 4
    assert check(spec(architecture="facexzoo-mobilefacenet"), shared) == []


def test_entries_that_fit_nothing_are_compared_with_the_nearest(tmp_path: Path) -> None:
    state = ARCHITECTURES["robfr-mobileface"].constructor().state_dict()
    state["linear1.conv.weight"] = torch.zeros(256, 512, 1, 1)
    state["extra.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "net.pt")
    (problem,) = check(spec(), tmp_path)
    assert problem.where == "architecture"
    assert "nearly matches architecture 'robfr-mobileface' (2 of " in problem.what
    assert "1 unexpected: extra.weight" in problem.what
    assert "linear1.conv.weight (network [512, 512, 1, 1], checkpoint [256" in problem.what
    torch.save({"weight": torch.zeros(3)}, tmp_path / "net.pt")
    (problem,) = check(spec(), tmp_path)
    assert "fit no known architecture" in problem.what
    assert "is the nearest" in problem.what


def test_a_missing_file_says_what_to_get(tmp_path: Path) -> None:
    (problem,) = check(spec(architecture="magface-iresnet100"), tmp_path)
    assert problem.where == "source"
    assert "no such file" in problem.what
    assert "magface_epoch_00025.pth" in problem.what
    assert "github.com/IrvingMeng/MagFace" in problem.what
    (problem,) = check(spec(), tmp_path)
    assert "no such file" in problem.what


def test_a_page_instead_of_a_file_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_text("<!DOCTYPE html><html>Quota exceeded</html>")
    for architecture in (None, "evolve-ir-50"):
        (problem,) = check(spec(architecture=architecture), tmp_path)
        assert "this is a web page" in problem.what


def test_another_file_than_the_job_means_is_refused(shared: Path) -> None:
    digest = hashlib.sha256((shared / "net.pt").read_bytes()).hexdigest()
    named = {"architecture": "evolve-mobilefacenet"}
    assert check(spec(sha256=digest[:10].upper(), **named), shared) == []
    (problem,) = check(spec(sha256="0123456789", **named), shared)
    assert problem.where == "sha256"
    assert digest[:10] in problem.what
    (problem,) = check(ModelSpec(name="m", source="zoo/s1", sha256="01234567"), shared)
    assert "only a file: source takes one" in problem.what
    assert "sha256" not in spec().model_dump()  # specs without it stand for the same plan
