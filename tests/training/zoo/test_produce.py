"""Networks of the zoo are trained in order, each once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.training.zoo import evaluate, produce
from tests.toys.faces import patterns, small_recipe


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
