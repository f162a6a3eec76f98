from __future__ import annotations

from pathlib import Path

import pytest

from tests.toys.reports import gauntlet

JOB = """
name: calibrated
task: {kind: verification, goal: impersonation}
data: {source: rendered, pairs: 20, limit: 2}
calibrate: {source: rendered, pairs: 80, faces: 1}
surrogates: [zoo/s1]
targets: [{like: s1, white_box: true, name: t, threshold: 0.25}, {like: s1, name: u}]
attacks: [{base: i, epsilon: 4/255, steps: 1}]
resources: {placement: in-process}
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))
    (tmp_path / "job.yaml").write_text(JOB.replace("name: u", "name: u, white_box: true"))
    return str(tmp_path / "job.yaml")


def test_each_target_under_each_rule_and_rates_that_pairs_cannot_fix(job: str) -> None:
    rules = "threshold=[{far: 1e-3}, accuracy, {far: 0.1}]"
    result = gauntlet("calibrate", job, "--set", rules)
    assert result.exit_code == 1, result.output
    said = result.stdout.splitlines()
    assert said[0] == "80 pairs, 40 of one person and 40 of different people"
    table = [line.split() for line in said if "accuracy" in line or "0.1 " in line]
    assert len(table) == 4  # two targets by two rules
    at_rate = [line for line in table if "far_0.1" in line]
    # One model under two names: threshold (ends), false accepts (ends) of 40, true of 40, both.
    assert at_rate[0][-6:] == at_rate[1][-6:]
    assert at_rate[0][-6:-3] == ["10", "(2.79-23.7)", "40"]
    given = next(line.split() for line in said if " given " in line)
    assert given[:3] == ["t", "given", "0.2500"]
    assert said[-1] == (
        "not fixed: a false-accept rate of 0.001 needs 3,688 pairs of different people or more, "
        "here are 40"
    )
    again = gauntlet("calibrate", job)  # the default rule, from what was found
    assert again.exit_code == 0, again.output
    assert "found before" in again.stderr
    assert "not fixed" not in again.output


def test_classifiers_have_no_thresholds() -> None:
    result = gauntlet("calibrate", "quickstart")
    assert result.exit_code == 2
    assert "task: quickstart is a job of classification, which has no thresholds" in result.output


def test_embedding_match_has_its_cosine_from_the_job(tmp_path: Path) -> None:
    text = JOB.replace("verification", "embedding").replace(", threshold: 0.25", "")
    text = text.replace("name: u", "name: u, white_box: true")
    lines = [line for line in text.splitlines() if not line.startswith("calibrate")]
    (tmp_path / "job.yaml").write_text("\n".join([*lines, "success: {cosine: 0.5}"]))
    result = gauntlet("calibrate", str(tmp_path / "job.yaml"))
    assert result.exit_code == 2, result.output
    said = "task: calibrated is a job of embedding, which has no thresholds to find"
    assert [line.strip() for line in result.output.splitlines() if said in line], result.output
