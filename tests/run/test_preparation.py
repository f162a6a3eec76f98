"""Thresholds: by which rule, and on which pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline import results
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.manifest import ThresholdRecord
from tests.toys.runs import verdicts

JOB = """
name: calibrated
task: {kind: verification, goal: impersonation}
data: {source: rendered, pairs: 20, limit: 2}
calibrate: {source: rendered, pairs: 160, faces: 1}
threshold: {far: 0.05}
surrogates: [zoo/s1]
targets: [{like: s1, white_box: true}]
attacks: [{base: i, epsilon: 4/255, steps: 1}]
resources: {placement: in-process}
"""


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = JOB
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    return str(caught.value)


def test_a_false_accept_rate_on_pairs_that_are_not_attacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))
    plan = load(written(tmp_path))
    launch(plan, str(tmp_path / "run"))
    (entry,) = (results.manifest(str(tmp_path / "run")).thresholds or {}).values()
    assert entry.source == "false-accept rate 0.05"
    assert (entry.pairs, entry.impostors) == (160, 80)
    assert entry.false_accepts is not None
    assert entry.false_accepts <= 4
    assert entry.low is not None
    assert entry.high is not None
    assert entry.low <= entry.threshold <= entry.high
    frame = verdicts(tmp_path / "run")
    assert len(frame) == 2
    assert (frame["threshold"] == entry.threshold).all()


@pytest.mark.slow
def test_a_threshold_that_was_found_by_another_rule_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))
    found: list[ThresholdRecord] = []
    for rule in ("{far: 0.05}", "accuracy", "{far: 0.05}"):
        path = written(tmp_path, ("threshold: {far: 0.05}", f"threshold: {rule}"))
        launch(load(path), str(tmp_path / f"run{len(found)}"))
        (entry,) = (results.manifest(str(tmp_path / f"run{len(found)}")).thresholds or {}).values()
        found.append(entry)
    assert found[0] == found[2]
    assert found[1].source == "LFW protocol"
    assert found[1].threshold != found[0].threshold
    assert found[1].impostors is None


def test_what_no_threshold_can_be_found_on_is_refused(tmp_path: Path) -> None:
    few = refusal(written(tmp_path, ("{far: 0.05}", "{far: 0.01}")))
    assert "threshold.far: a false-accept rate of 0.01 needs 368 pairs of different people" in few
    assert "here are 80" in few
    own = written(tmp_path, ("calibrate: {source: rendered, pairs: 160, faces: 1}\n", ""))
    assert "needs 72 pairs of different people or more, here are 10" in refusal(own)
    absent = written(tmp_path, ("{source: rendered, pairs: 160, faces: 1}", "{source: pairs, "
                     "images: nowhere.npz, pairs: nowhere.csv}"))  # fmt: skip
    assert "calibrate." in refusal(absent)


def test_check_says_how_thresholds_are_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(written(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "thresholds: false-accept rate 0.05, on pairs of their own: " in result.output


def test_plans_without_either_stay_what_they_were(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("calibrate: {source: rendered, pairs: 160, faces: 1}\n", ""),
        ("threshold: {far: 0.05}\n", ""),
    )
    assert {"calibrate", "threshold"}.isdisjoint(load(path).what)
    assert load(written(tmp_path)).what["threshold"] == {"far": 0.05}
