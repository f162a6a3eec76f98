from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gauntlet.jobs.cli.app import app
from gauntlet.pipeline.evaluation.verification import protocol
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.run.probe.alternatives import fits_best, instead
from gauntlet.pipeline.run.probe.verified import CONFIGURED, Reading, best_of, others

SAME, FOLD = np.arange(200) % 2 == 0, np.arange(200) // 20


def reading(way: str, wrong: int) -> Reading:
    """What a model says that is wrong about so many of 200 pairs."""
    told = SAME.copy()
    told[:wrong] = ~told[:wrong]
    scores = np.where(told, 0.9, 0.1)
    result = protocol(scores, SAME, FOLD)
    return Reading(way, scores, result, (scores >= result.fold_thresholds[FOLD]) == SAME)


def test_of_several_networks_those_that_are_no_worse_beyond_doubt_are_named() -> None:
    found = {way: reading(way, wrong) for way, wrong in [("a", 60), ("b", 4), ("c", 5)]}
    said = fits_best(found)
    assert said == "b fits best of 3: name it in the model's entry (c: no worse beyond doubt)"
    del found["c"]
    assert fits_best(found) == "b fits best of 2: name it in the model's entry"


def test_what_fits_better_is_said_with_both_accuracies() -> None:
    found = {CONFIGURED: reading(CONFIGURED, 18), "channels: bgr": reading("channels: bgr", 1)}
    best = best_of(found)
    assert best is not None
    said = instead(best, found[CONFIGURED])
    assert said.startswith("with `channels: bgr` 99.5 %, as configured 91.0 %: write that")


def test_grey_images_are_not_asked_about_channel_order() -> None:
    model = build(ModelSpec(name="m", source="zoo/s1"))
    ways = [way for way, _ in others(model)]
    assert "channels: bgr" in ways
    grey = [way for way, _ in others(model, grey=True)]
    assert grey == [way for way in ways if way != "channels: bgr"]


JOB = """
name: rendered
task: {kind: verification, goal: impersonation}
data: {source: rendered, pairs: 100, limit: 4}
surrogates: [{name: s, source: zoo/s1}]
targets: [{name: t, source: "file:net.pt"ARCHITECTURE}]
attacks: [{base: i, epsilon: 8/255, steps: 1}]
resources: {placement: in-process}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "status", "said"),
    [
        ("", 2, "t: architecture: {} fits best of 4: name it in the model's entry"),
        (", architecture: evolve-mobilefacenet", 0, "t: none of the 3 other networks that its"),
    ],
)
def test_check_tries_every_network_that_a_file_fits(
    architecture: str, status: int, said: str, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = ARCHITECTURES["evolve-mobilefacenet"].constructor()
    torch.save(made.state_dict(), tmp_path / "net.pt")
    job = tmp_path / "job.yaml"
    job.write_text(JOB.replace("ARCHITECTURE", architecture))
    result = CliRunner().invoke(app, ["check", "--probe", str(job)], env={"COLUMNS": "120"})
    assert result.exit_code == status, result.output
    names = ("evolve-mobilefacenet", "treb1en-mobilefacenet", "advmakeup-mobile-face")
    wanted = [said.format(name) for name in (*names, "facexzoo-mobilefacenet")]
    assert any(text in result.output for text in wanted), result.output
