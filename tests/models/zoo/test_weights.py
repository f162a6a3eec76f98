from __future__ import annotations

import subprocess
from functools import partial
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
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.training.zoo import evaluate, produce, shipping, table
from gauntlet.pipeline.training.zoo.pool import TEST
from gauntlet.pipeline.training.zoo.train import begin, train
from tests.toys.faces import patterns, small_pool, small_recipe


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with s1's weights after six updates."""
    folder = tmp_path_factory.mktemp("zoo")
    pool, test = small_pool(folder / "cache"), small_pool(folder / "cache", TEST, 12, 3)
    training = begin(small_recipe(), pool, None)
    train(training, pool, folder / "c.safetensors", Silent())
    produce.finish(training, test, folder / "weights", folds=3, same=10, attacked=6)
    return folder / "weights"


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


def test_recording_one_file_leaves_the_others(copied: Path) -> None:
    digest = weights.checksums(copied)["s1.safetensors"]
    (copied / "n1.safetensors").write_bytes(b"x")
    shipping.record("n1", copied)
    sums = weights.checksums(copied)
    assert sums["s1.safetensors"] == digest
    assert list(sums) == ["n1.safetensors", "s1.safetensors"]


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


def test_values_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    network = begin(small_recipe(), small_pool(tmp_path), None).network
    with torch.no_grad():
        next(network.parameters())[0] = 1e6
    with pytest.raises(BadInput, match=r"beyond half precision: features\.0\.0\.weight"):
        shipping.store(network, tmp_path / "x.safetensors", {})


def test_the_table_shows_what_the_files_say(made: Path) -> None:
    lines = table.markdown(made).splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| `")}
    assert list(rows) == [f"`{name}`" for name in RECIPES]
    about = weights.metadata("s1", made)
    assert (
        f"| {float(about['threshold']):.3f} | {100 * float(about['accuracy']):.2f} ± "
        in (rows["`s1`"])
    )
    assert "| vgg | " in rows["`s1`"]
    assert rows["`a1`"].count("| - ") == 5


def test_evaluation_pairs(tmp_path: Path) -> None:
    pool = small_pool(tmp_path, TEST, 12, 3)
    pairs = evaluate.draw_pairs(pool, folds=3, same=50)
    assert pairs.same.reshape(3, 2, 50).sum(2).tolist() == [[50, 0]] * 3
    # No person is in two folds, no picture is paired with itself.
    for fold in range(3):
        people = torch.cat((pairs.first, pairs.second))[:, 0][torch.cat((pairs.fold,) * 2) == fold]
        assert set(people.tolist()) == set(range(4 * fold, 4 * fold + 4))
    assert not (pairs.first == pairs.second).all(1).any()
    with pytest.raises(ValueError, match="7 folds need 14 people"):
        evaluate.draw_pairs(pool, folds=7, same=2)


def test_a_network_that_sees_all_separates_people(tmp_path: Path) -> None:
    pool = small_pool(tmp_path, TEST, 40, 3)
    # Mean colours of a 6 x 6 grid: what the made-up renderer makes people of.
    seeing = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(6), torch.nn.Flatten())
    report = evaluate.evaluate(seeing, pool, folds=4, same=30, attacked=20)
    assert report.accuracy > 0.97
    assert report.clean_rate < 0.1
    assert report.white_box >= report.clean_rate


def produced(out: Path, cache: Path, recipe_steps: int = 3, resume: bool = True) -> list[str]:
    notes: list[str] = []

    class Heard(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    recipes = [small_recipe("n1", recipe_steps), small_recipe("a1", recipe_steps)]
    produce.produce(recipes, out, cache, Heard(), render=patterns, resume=resume)
    return notes


def test_produce_trains_twins_first_and_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "IDENTITIES", 20)
    monkeypatch.setattr(produce, "finish", partial(produce.finish, folds=2, same=4, attacked=2))
    out, cache = tmp_path / "out", tmp_path / "cache"
    notes = produced(out, cache)
    assert [note.split(":")[0] for note in notes] == ["n1", "a1"]
    assert all("accuracy" in note for note in notes)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert set(before) == {"n1.safetensors", "a1.safetensors", weights.SUMS}
    assert all("finished before" in note for note in produced(out, cache))
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert all("accuracy" in note for note in produced(out, cache, resume=False))
    assert not list((cache / "checkpoints").glob("*"))


def test_a_missing_twin_and_an_unwritable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "WEIGHTS", tmp_path / "none")
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="gauntlet zoo train --only n1"):
        produce.produce([small_recipe("a1")], out, tmp_path / "cache", Silent(), render=patterns)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written here"):
        produced(tmp_path / "file" / "out", tmp_path / "cache")
