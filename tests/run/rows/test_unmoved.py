"""An attack that moved nothing says so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gauntlet.actors.launch import launch
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.notes import unmoved_words
from gauntlet.jobs.reports.page import page
from gauntlet.jobs.reports.summary import summary
from gauntlet.pipeline import results
from gauntlet.pipeline.results.reading import Reading, units_of_complete
from tests.jobs.cli.test_run_job import gauntlet
from tests.toys.jobs import attacks, plan

DEAF = (
    ('"import:tests.toys.jobs:network", options: {seed: 0}', '"import:tests.toys.jobs:deaf", '
     'options: {seed: 0}'),
    ('"import:tests.toys.jobs:network", options: {seed: 1}', '"import:tests.toys.jobs:deaf", '
     'options: {seed: 1}'),
)  # fmt: skip


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run whose surrogates have no gradient, from the clean image and from a random start."""
    folder = tmp_path_factory.mktemp("deaf")
    both = "  - {name: plain, base: i, steps: 2}\n  - {name: random, base: pgd, steps: 2}"
    launch(plan(folder, *DEAF, attacks(both)), str(folder / "run"))
    return str(folder / "run")


@pytest.fixture(scope="module")
def faint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of attacks that change nothing for other reasons, and of one that works."""
    folder = tmp_path_factory.mktemp("faint")
    text = """\
  - {name: half a level, base: i, epsilon: 0.4/255, steps: 2}
  - {name: less than a level, base: i, epsilon: 0.9/255, steps: 2}
  - {name: tiny steps, base: i, epsilon: 8/255, step_size: 0.1/255, steps: 2}
  - {name: no budget, base: i, epsilon: 0, step_size: 1/255, steps: 2}
  - {name: clean, base: i, steps: 0}
  - {name: works, base: i, epsilon: 8/255, steps: 2}"""
    launch(plan(folder, attacks(text)), str(folder / "run"))
    return str(folder / "run")


def test_a_gradient_of_zero_at_every_update_is_a_failure_beside_the_verdicts(deaf: str) -> None:
    failures = results.read(deaf, "failures")
    assert set(failures["stage"]) == {"gradient"}
    assert failures.groupby("attack").size().to_dict() == {"plain": 8, "random": 8}
    assert set(failures["reason"]) == {
        "the surrogates' combined gradient was exactly zero at each of 2 updates: "
        "there was nothing to follow"
    }
    # The examples keep their rows, and there is nothing left to do.
    assert results.read(deaf, "verdicts").groupby("attack").size().to_dict() == {
        "plain": 8, "random": 8
    }  # fmt: skip
    assert units_of_complete(deaf) == 4


def test_the_cause_stands_beside_the_image(deaf: str, faint: str) -> None:
    def causes(run: str) -> dict[str, set[str]]:
        table = results.read(run, "examples")
        assert (table["unmoved"].notna() == (table["linf"] == 0)).all()
        return {
            str(attack): set(part["unmoved"].fillna("")) for attack, part in table.groupby("attack")
        }

    assert causes(deaf) == {"plain": {"zero gradient"}, "random": {""}}
    assert causes(faint) == {
        "half a level": {"below one level"},
        "less than a level": {"below one level"},
        "tiny steps": {"below one level"},
        "no budget": {"zero budget"},
        "clean": {"no update"},
        "works": {""},
    }
    assert results.read(faint, "failures").empty


def test_the_summary_counts_them(deaf: str, faint: str) -> None:
    shown = gauntlet("report", deaf).stdout
    said = "not changed by plain: 8 of 8 images (the gradient was zero at every update)"
    assert said in shown
    assert "not changed by random" not in shown
    assert "failures: 16 at stage 'gradient'" in shown
    assert said in page(Figures(Reading(deaf)))
    lines = unmoved_words(Figures(Reading(faint)).unmoved())
    back = "budget or steps below one level: rounding to 8 bits took the change back"
    assert lines == [
        f"not changed by half a level: 8 of 8 images ({back})",
        f"not changed by less than a level: 8 of 8 images ({back})",
        f"not changed by tiny steps: 8 of 8 images ({back})",
        "not changed by no budget: 8 of 8 images (zero budget)",
    ]
    table = summary(faint)
    assert table.groupby("attack")["unmoved"].max().to_dict() == {
        "half a level": 8, "less than a level": 8, "tiny steps": 8, "no budget": 8,
        "clean": 0, "works": 0,
    }  # fmt: skip


def test_many_attacks_take_few_lines() -> None:
    table = pd.DataFrame(
        {"attack": list("abcdefgh"), "cause": "zero budget", "count": 1, "examples": 2}
    )
    lines = unmoved_words(table)
    assert len(lines) == 6
    assert lines[-1] == "... and images of 3 more attacks: column `unmoved` of `examples`"


def test_runs_from_before_the_column_are_counted_without_a_cause(deaf: str, tmp_path: Path) -> None:
    run = results.RunFolder(str(tmp_path))
    for name in ("plan.json", "manifest.json"):
        run.write(name, results.RunFolder(deaf).read(name))
    old = pd.concat(map(pd.read_parquet, Path(deaf, "examples").iterdir()))
    (tmp_path / "examples").mkdir()
    old.drop(columns="unmoved").to_parquet(tmp_path / "examples" / "old.parquet")
    found = Figures(Reading(str(tmp_path))).unmoved()
    assert found.to_dict("records") == [
        {"attack": "plain", "cause": "unknown", "count": 8, "examples": 8}
    ]
