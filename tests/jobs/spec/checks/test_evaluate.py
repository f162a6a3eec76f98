"""What `evaluate` may not ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.jobs.spec.checks import evaluate
from gauntlet.jobs.spec.checks.check import Check
from gauntlet.jobs.spec.checks.inspection import inspect
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.yaml_source import read
from tests.toys.jobs import problems, write


def found(
    folder: Path, text: str, goal: str = "untargeted", surrogate: str = "seed: 0}"
) -> list[str]:
    """Return what the checks of `evaluate` find in the tiny job with such a field."""
    kind = "verification" if goal in ("impersonation", "dodging") else "classification"
    path = write(
        folder,
        ("seed: 0}", surrogate),
        ("kind: classification, goal: untargeted", f"kind: {kind}, goal: {goal}"),
    )
    path.write_text(f"{path.read_text()}evaluate: {text}\n")
    job = JobDraft.of(read(path), folder)
    checks = [check for check in vars(evaluate).values() if isinstance(check, Check)]
    return [str(problem).rpartition("evaluate.")[2] for problem in inspect(job, checks)]


def test_a_randomised_surrogate_has_no_interactions(tmp_path: Path) -> None:
    defended = "seed: 0}, defence: resize-pad"
    assert found(tmp_path, "{steps: all}", surrogate=defended) == []
    (line,) = found(tmp_path, "{interactions: {}}", surrogate=defended)
    assert "'s0' answers at random" in line
    assert "surrogates[0].defence" in line


def test_steps_beyond_every_attack(tmp_path: Path) -> None:
    assert found(tmp_path, "{steps: [1, 2]}") == []
    assert found(tmp_path, "{steps: all}") == []
    assert found(tmp_path, "{steps: [1, 3, 50]}") == [
        "steps: no attack has update 3, 50: the longest has 2"
    ]


def test_interactions_that_the_task_does_not_have(tmp_path: Path) -> None:
    assert found(tmp_path, "{interactions: {}}") == []
    (line,) = found(tmp_path, "{interactions: {utility: similarity}}")
    assert line.startswith("interactions.utility: utility 'similarity' needs a reference image")
    (line,) = found(tmp_path, "{interactions: {utility: margin}}", "dodging")
    assert line.startswith("interactions.utility: utility 'margin' needs classes")
    (line,) = found(tmp_path, "{interactions: {closed_form: true}}", "dodging")
    assert line.startswith("interactions.closed_form: is the curvature of the loss")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{steps: [0]}", "evaluate.steps"),
        (
            "{steps: first}",
            "evaluate.steps: expected 'last' or 'all' or a whole number, got 'first'",
        ),
        ("{steps: [2, 2]}", "evaluate.steps: a step is listed twice: 2, 2"),
        ("{steps: [true]}", "evaluate.steps[0]: expected a number, got true"),
        ("{step: all}", "evaluate.step: unknown key 'step'; did you mean 'steps'"),
        ("{interactions: {gird: 4}}", "evaluate.interactions.gird: unknown key 'gird'"),
        ("{interactions: {samples: 4}}", "samples: only for `estimator: sampled`"),
    ],
)
def test_wrong_fields_are_found_by_place(text: str, words: str, tmp_path: Path) -> None:
    old = "resources: {placement: in-process, batch: 4}\n"
    lines = problems(tmp_path, (old, f"{old}evaluate: {text}\n"))
    assert any(words in line for line in lines), lines
