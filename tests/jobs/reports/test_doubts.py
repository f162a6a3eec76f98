"""What the command line makes of models that are wrong about clean examples."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gauntlet.jobs.cli.bars import TerminalProgress
from gauntlet.jobs.reports.doubts import decide_on
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.page import page
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.evaluation.clean_accuracy import CleanAccuracy
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.run.probe.findings import ModelFinding, Probe, Refused
from tests.jobs.cli.test_run_job import gauntlet
from tests.toys.colours import CLASSES, job, model

TRUE = np.arange(24) % CLASSES
WORDS = "bad: 4 of 24 right (16.7 %) before any attack; 24 of 24 right (100.0 %) if"


@pytest.fixture
def doubtful(tmp_path: Path) -> str:
    """A job with a target that gets red and blue the wrong way round."""
    return str(job(tmp_path, TRUE, targets=[model("good"), model("bad", "bgr")]))


def test_without_a_terminal_a_run_says_it_and_goes_on(doubtful: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = gauntlet("run", doubtful, "--out", str(run))
    assert result.exit_code == 0, result.output
    assert f"warning: {WORDS}" in result.stderr
    assert result.stdout.startswith(f"warning: {WORDS}")
    assert result.stdout.index("warning: ") < result.stdout.index("attack x target group")
    assert WORDS in json.loads((run / "manifest.json").read_text())["probe"]["warnings"][0]
    assert gauntlet("report", str(run)).stdout == result.stdout
    assert f"Warning: {WORDS}" in page(Figures(Reading(str(run))))


def test_strict_ends_with_2_and_leaves_no_folder(doubtful: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = gauntlet("run", doubtful, "--out", str(run), "--strict")
    assert result.exit_code == 2
    assert f"warning: {WORDS}" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("--strict: the models' answers to clean")
    assert not run.exists()
    told = model("bad", "bgr", adversarial=True)
    fine = str(job(tmp_path, TRUE, targets=[model("good"), told]))
    assert gauntlet("run", fine, "--out", str(run), "--strict").exit_code == 0


def test_yes_and_strict_contradict_each_other(doubtful: str) -> None:
    result = gauntlet("run", doubtful, "--yes", "--strict")
    assert result.exit_code == 2
    assert result.stderr.startswith("--yes, --strict: ")


def test_check_probe_asks_the_models_and_nothing_else(doubtful: str, tmp_path: Path) -> None:
    plain = gauntlet("check", doubtful)
    assert "warning" not in plain.output
    result = gauntlet("check", doubtful, "--probe")
    assert result.exit_code == 0
    assert result.stdout.startswith(plain.stdout)
    assert "  good: 24 of 24 right (100.0 %)\n" in result.stdout
    assert f"warning: {WORDS}" in result.stdout
    assert gauntlet("check", doubtful, "--probe", "--strict").exit_code == 2
    alone = gauntlet("check", doubtful, "--strict")
    assert (alone.exit_code, alone.stderr[:10]) == (2, "--strict: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.npz", "job.yaml"]


DOUBT = Probe((ModelFinding("bad", CleanAccuracy(0, 64, 10)),))
FINE = Probe((ModelFinding("good", CleanAccuracy(64, 64, 10)),))
TOLD = Probe((ModelFinding("robust", CleanAccuracy(0, 64, 10), excuse="adversarially trained"),))


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal as standard input; yields what its keys are written to."""
    keys, terminal = pty.openpty()
    with os.fdopen(terminal) as given:
        monkeypatch.setattr(sys, "stdin", given)
        yield keys
    os.close(keys)


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y", True), ("YES", True), ("n", False), ("", False)]
)
def test_on_a_terminal_the_person_is_asked_once(answer: str, goes_on: bool, keyboard: int) -> None:
    screen = Terminal(file=io.StringIO(), force_terminal=True)
    with TerminalProgress(screen) as progress:
        decide = decide_on(progress, screen, yes=False, strict=False)
        decide(FINE)
        decide(TOLD)
        os.write(keyboard, f"{answer}\n".encode())
        if goes_on:
            decide(DOUBT)
        else:
            with pytest.raises(Refused, match="nothing was attacked"):
                decide(DOUBT)
    assert isinstance(screen.file, io.StringIO)
    assert screen.file.getvalue().count("Attack all the same? [y/N]") == 1


def test_nobody_is_asked_who_has_answered_or_is_not_there(keyboard: int) -> None:
    screen = Terminal(file=io.StringIO(), force_terminal=True)
    log = Terminal(file=io.StringIO())
    with TerminalProgress(screen) as progress:
        decide_on(progress, screen, yes=True, strict=False)(DOUBT)
        decide_on(progress, log, yes=False, strict=False)(DOUBT)
        with pytest.raises(Refused, match="--strict"):
            decide_on(progress, log, yes=False, strict=True)(DOUBT)
