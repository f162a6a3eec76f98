"""`gauntlet zoo` with the real renderer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

import gauntlet.pipeline.training.zoo.train as loop
from gauntlet.jobs.cli import train_zoo as zoo_commands
from gauntlet.jobs.cli.app import app
from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.models.zoo.recipes import RECIPES, Recipe
from gauntlet.pipeline.training.zoo import evaluate, produce
from gauntlet.pipeline.training.zoo.table import markdown
from tests.toys.faces import small_recipe


def zoo(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["zoo", *arguments], env={"COLUMNS": "120"})


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """s1 in six updates on eight people, and an evaluation on twenty."""
    recipe = small_recipe()
    monkeypatch.setattr(zoo_commands, "RECIPES", {"s1": recipe})
    monkeypatch.setattr(evaluate, "IDENTITIES", 20)
    finish = produce.finish
    monkeypatch.setattr(produce, "finish", lambda *args: finish(*args, folds=2, same=4, attacked=2))
    return recipe


def test_help_teaches() -> None:
    assert "zoo" in CliRunner().invoke(app, ["--help"]).output
    result = zoo("train", "--help")
    assert result.exit_code == 0
    for word in ("--only", "--smoke", "--resume", "--out", "--cache", "--threads", "130"):
        assert word in result.output


@pytest.mark.parametrize("name", ["s3", "a2"])
def test_smoke_training_reduces_the_loss(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = zoo("train", "--smoke", "--only", name, "--out", str(out), "--cache", str(tmp_path))
    assert result.exit_code == 0, result.output
    before, after = (float(word) for word in result.stderr.split(f"{name}: loss ")[1].split()[:3:2])
    assert after < 0.9 * before
    assert not out.exists()


def test_a_smoke_training_that_learns_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = RECIPES["s1"].model_copy(update={"lr": 1e-12})
    monkeypatch.setattr(zoo_commands, "RECIPES", {"s1": lazy})
    result = zoo("train", "--smoke")
    assert result.exit_code == 1
    assert "s1: the loss only went from" in result.stderr


def test_killed_and_called_again_is_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Recipe
) -> None:
    arguments = ("train", "--cache", str(tmp_path / "cache"), "--out")
    assert zoo(*arguments, str(tmp_path / "whole")).exit_code == 0
    loss = loop._loss

    def killed(training, pool, step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(training, pool, step)

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(loop, "_loss", killed)
    result = zoo(*arguments, str(tmp_path / "cut"))
    assert result.exit_code == 143
    assert "s1: stopped after update 3 of 6; --resume goes on from" in result.stderr
    assert not weights.path_of("s1", tmp_path / "cut").exists()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    monkeypatch.setattr(loop, "_loss", loss)
    result = zoo(*arguments, str(tmp_path / "cut"))
    assert result.exit_code == 0, result.output
    assert "s1: goes on after update 3" in result.stderr
    whole, cut = (load_file(weights.path_of("s1", tmp_path / n)) for n in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(value, cut[key]) for key, value in whole.items())


def test_bad_input(tmp_path: Path) -> None:
    result = zoo("train", "--only", "s9")
    assert result.exit_code == 2
    assert "unknown network of the zoo 's9'; did you mean 's" in result.stderr
    (tmp_path / "file").write_text("")
    result = zoo("train", "--only", "s1", "--out", str(tmp_path / "file" / "out"))
    assert result.exit_code == 2
    assert "finished weights cannot be written here" in result.stderr
    result = zoo("train", "--only", "s1", "--out", str(tmp_path / "out"),
                 "--cache", str(tmp_path / "file" / "cache"))  # fmt: skip
    assert result.exit_code == 2
    assert "name another --cache" in result.stderr


def test_table() -> None:
    result = zoo("table")
    assert result.exit_code == 0
    assert result.output == markdown()
    assert "| `n10` | target | mixer |" in result.output
