from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.pipeline.models.architectures import ARCHITECTURES

RENDERED = """
name: rendered
task: {kind: verification, goal: impersonation}
data: {source: rendered, pairs: 100, limit: 4}
surrogates:
  - {name: right, source: zoo/s1}
  - {name: swapped, source: zoo/s1, channels: bgr}
targets:
  - {name: scaled, source: zoo/s1, mean: [0, 0, 0], std: [1/255, 1/255, 1/255]}
attacks: [{base: i, epsilon: 8/255}]
"""


def verify(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", "verify", *arguments], env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("faces") / "job.yaml"
    path.write_text(RENDERED)
    return str(path)


def test_a_model_that_is_read_as_it_should_be(job: str) -> None:
    result = verify("right", "--data", job)
    assert result.exit_code == 0, result.output
    assert "as configured: " in result.output
    assert "no other channel order, scale or size is better beyond doubt" in result.output
    assert "needs 368 pairs of different people or more" in result.output


@pytest.mark.parametrize(
    ("model", "pairs", "fits"),
    [
        ("scaled", 100, "mean: [0.5"),
        pytest.param("swapped", 800, "channels: rgb", marks=pytest.mark.slow),
    ],
)
def test_what_fits_better_is_said(job: str, model: str, pairs: int, fits: str) -> None:
    result = verify(model, "--data", job, "--set", f"data.pairs={pairs}")
    assert result.exit_code == 1, result.output
    last = result.output.strip().splitlines()[-1]
    assert last.startswith(f"with `{fits}")
    assert "%, as configured " in last


@pytest.mark.slow
def test_random_weights_tell_nobody_apart(job: str, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ARCHITECTURES["robfr-shufflenet-v2-gdconv-stride1"].constructor()
    # A constant answer, whatever is shown.
    network.classifier[0].weight.data.zero_()  # type: ignore[index, union-attr]
    torch.save(network.state_dict(), tmp_path / "net.pt")
    result = verify(f"file:{tmp_path / 'net.pt'}", "--data", job, "--pairs", "40")
    assert result.exit_code == 1, result.output
    assert "(robfr-shufflenet-v2-gdconv-stride1, by its entries)" in result.output
    assert "it hardly tells people apart" in result.output
    assert "published for robfr-shufflenet-v2-gdconv-stride1: 99.15 % on LFW" in result.output


@pytest.mark.slow
def test_of_several_publishers_the_best_is_named(job: str, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(
            ARCHITECTURES["evolve-mobilefacenet"].constructor().state_dict(), tmp_path / "net.pt"
        )
    file = f"file:{tmp_path / 'net.pt'}"
    result = verify(file, "--data", job, "--pairs", "40")
    for name in ("evolve-mobilefacenet", "treb1en-mobilefacenet", "advmakeup-mobile-face"):
        assert f"  architecture: {name}: " in result.output
    assert "fits best of 4: name it in the model's entry" in result.output
    named = verify(file, "--architecture", "evolve-mobilefacenet", "--data", job, "--pairs", "40")
    assert "  as configured: " in named.output
    assert "  architecture: facexzoo-mobilefacenet: " in named.output


def test_what_cannot_be_asked_is_refused(job: str) -> None:
    result = verify("nobody", "--data", job)
    assert result.exit_code == 2
    assert "'nobody' is no model of the job (right, swapped, scaled) and no source" in result.output
    result = verify("right", "--data", "quickstart")
    assert result.exit_code == 2
    assert "--data: quickstart is a job of classification: give one with pairs" in result.output


@pytest.mark.slow
def test_the_acceptance_network(data_root: Path) -> None:
    root = f"root={data_root}"
    result = verify("mobilefacenet", "--data", "faces", "--set", root, "--pairs", "400")
    assert result.exit_code == 0, result.output
    assert "as configured: 99" in result.output or "as configured: 100" in result.output
