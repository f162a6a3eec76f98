"""A run under several seeds: the rows of runs under each, under one key, and resumed by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gauntlet import run
from gauntlet.jobs.cli.verify_run import verify_run
from gauntlet.jobs.reports.frames import Figures
from gauntlet.pipeline.results.reading import Reading
from tests.toys import runs

JOB = runs.job(
    attacks=[{"base": "mi", "steps": 2}, {"base": "di", "combine": "rgea", "steps": 2}],
    select={"limit": 8},
)
RANDOM = "di/rgea/linf-8"
KEYS = ["example", "target"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("seeds") / "run"
    run(JOB | {"seeds": [5, 0]}, made, progress=False)
    return made


def of(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """What does not depend on what was asked of clean images."""
    some = frame[frame["seed"].eq(seed) & frame["attack"].eq(RANDOM)]
    kept = some[[name for name in some if name != "unit" and not str(name).startswith("clean")]]
    return kept.sort_values(KEYS).reset_index(drop=True)


def test_each_seed_has_the_rows_of_a_run_under_it(folder: Path, tmp_path: Path) -> None:
    several = pd.read_parquet(folder / "verdicts")
    assert several.groupby("attack")["seed"].unique().map(sorted).to_dict() == {
        "mi/ens/linf-8": [5],
        RANDOM: [0, 5],
    }
    alone = run(JOB | {"seed": 0}, tmp_path / "alone", progress=False)
    pd.testing.assert_frame_equal(of(several, 0), of(alone.verdicts, 0))
    own = pd.read_parquet(folder / "examples").set_index(["attack", "seed"])["image"]
    assert (own.loc[RANDOM, 0].to_numpy() != own.loc[RANDOM, 5].to_numpy()).all()


def test_it_is_verified_and_reported_with_its_seeds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_run(str(folder), 1, 0, ()) == 0
    assert "48 rows" in capsys.readouterr().out
    groups: Any = Figures(Reading(str(folder))).groups().set_index(["attack", "group"])
    assert groups.loc[RANDOM, "seeds"].eq(2).all()
    assert groups.loc["mi/ens/linf-8", "seeds"].isna().all()
