"""The zoo's weights: those that come with the package, altered ones, missing ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.checkpoint import weights_fingerprint
from gauntlet.pipeline.models.defences.bit_reduction import BitReduction
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources import zoo_source
from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.models.zoo.recipes import RECIPES
from gauntlet.pipeline.problems import BadInput
from tests.toys.faces import small_recipe, small_weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_weights(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def copied(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(zoo_source, "problem_with", lambda n: weights.problem_with(n, tmp_path))
    monkeypatch.setattr(zoo_source, "load", lambda n: weights.load(n, tmp_path))
    return tmp_path


def test_files_are_half_precision_and_say_what_they_are(made: Path) -> None:
    about = weights.metadata("s1", made)
    assert set(about) == {
        "accuracy", "standard_error", "threshold", "clean_rate", "white_box", "fingerprint",
        "recipe", "seconds",
    }  # fmt: skip
    assert about["recipe"] == small_recipe().model_dump_json()
    network = weights.load("s1", made)
    assert about["fingerprint"] == weights_fingerprint(network)
    assert all(value.dtype is torch.float32 for value in network.parameters())
    assert all(torch.equal(value, value.half().float()) for value in network.parameters())
    assert not network.training
    size = sum(value.numel() for value in network.parameters())
    assert weights.path_of("s1", made).stat().st_size < 2.2 * size


def test_the_checksum_file_is_sha256sums_own_format(made: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", weights.SUMS], cwd=made, check=True)


def test_a_model_of_the_zoo(copied: Path) -> None:
    defence = BitReduction(kind="bit-reduction")
    for given in (None, defence):
        model = build.build(ModelSpec(name="m", source="zoo/s1", defence=given))
        assert model.task is Task.VERIFICATION
        assert model.input_size == (48, 48)
        assert str(model.preprocessing).startswith("48x48 (bilinear), rgb, mean (0.5, 0.5, 0.5)")
        assert model(torch.rand(2, 3, 48, 48)).shape == (2, 128)


def test_altered_or_missing_weights_are_named(copied: Path) -> None:
    path = weights.path_of("s1", copied)
    expected = weights.checksums(copied)["s1.safetensors"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    spec = ModelSpec(name="m", source="zoo/s1")
    (problem,) = build.check(spec, copied)
    assert problem.where == "source"
    for word in (str(path), "altered", expected, "gauntlet zoo train --only s1"):
        assert word in problem.what
    with pytest.raises(BadInput, match="altered"):
        build.build(spec)
    path.unlink()
    (problem,) = build.check(spec, copied)
    for word in (str(path), "missing", expected, "gauntlet zoo train --only s1"):
        assert word in problem.what
    (copied / weights.SUMS).unlink()
    path.write_bytes(content)
    (problem,) = build.check(spec, copied)
    assert "has no checksum of s1.safetensors" in problem.what


def test_names_and_options_that_do_not_exist(copied: Path) -> None:
    (problem,) = build.check(ModelSpec(name="m", source="zoo/s11"), copied)
    assert "unknown network of the zoo 's11'; did you mean 's1'" in problem.what
    spec = ModelSpec(name="m", source="zoo/s1", options={"pretrained": False})
    (problem,) = build.check(spec, copied)
    assert problem.where == "options"
    assert "takes none, got pretrained" in problem.what


def test_gauntlet_models_lists_every_network() -> None:
    names = [name for offer in build.offers() if offer.form == "zoo/NAME" for name in offer.names]
    assert names == list(RECIPES)


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_network_is_there_as_its_recipe_made_it(name: str) -> None:
    assert weights.problem_with(name) is None
    about = weights.metadata(name)
    assert about["recipe"] == RECIPES[name].model_dump_json()
    model = build.build(ModelSpec(name=name, source=f"zoo/{name}"), task=Task.VERIFICATION)
    assert model.weights_fingerprint == about["fingerprint"]
    assert weights.path_of(name).stat().st_size < 700_000


def test_all_together_are_small_and_nothing_else_is_there() -> None:
    files = {path.name: path.stat().st_size for path in weights.WEIGHTS.iterdir()}
    assert set(files) == {f"{name}.safetensors" for name in RECIPES} | {weights.SUMS}
    assert sum(files.values()) < 16_000_000


@pytest.mark.parametrize("name", list(RECIPES))
def test_what_was_measured_is_good_enough(name: str) -> None:
    recipe, own = RECIPES[name], weights.metadata(name)
    assert float(own["accuracy"]) >= (0.97 if recipe.twin is None else 0.85)
    if recipe.twin is not None:
        twin = weights.metadata(recipe.twin)
        assert float(own["white_box"]) <= 0.5 * float(twin["white_box"])
