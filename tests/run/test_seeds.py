"""A run under several seeds: the rows of runs under each, under one key, and resumed by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gauntlet import run
from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.verify_run import verify_run
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.page import page
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.runner import Runner
from tests.toys import runs

JOB = runs.job(
    attacks=[{"base": "mi", "steps": 2}, {"base": "di", "combine": "rgea", "steps": 2}],
    select={"limit": 8},
)
OF_TWO = {"attacks": JOB["attacks"], "select": JOB["select"], "seeds": [0, 1]}
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
    figures = Figures(Reading(str(folder)))
    assert "Wilson" not in page(figures)  # whose intervals know one seed
    groups: Any = figures.groups().set_index(["attack", "group"])
    assert groups.loc[RANDOM, "seeds"].eq(2).all()
    assert groups.loc["mi/ens/linf-8", "seeds"].isna().all()


class Interrupted(LocalEngine):
    """Is stopped by a person at the fourth batch that it attacks."""

    batches = 0

    def attack(self, *given: Any, **more: Any) -> Any:
        self.batches += 1
        if self.batches == 4:
            raise KeyboardInterrupt
        return super().attack(*given, **more)


def test_an_interrupted_run_goes_on_under_all_its_seeds(tmp_path: Path) -> None:
    resources = {"batch": 4, "threads": 1, "part_seconds": 0}
    targets = [runs.network("wide")]
    given = runs.loaded(tmp_path, **OF_TWO, targets=targets, resources=resources)
    location = str(tmp_path / "run")
    engine = Interrupted(given.plan, permission=given.permission)
    with pytest.raises(KeyboardInterrupt):
        Runner(given.plan, RunFolder(location), engine, Silent()).run()
    before = runs.verdicts(location)
    outcome = launch(given.plan, location, resume=True, permission=given.permission)
    launch(given.plan, str(tmp_path / "whole"), permission=given.permission)
    found, whole = (of_all(str(tmp_path / name)) for name in ("run", "whole"))
    assert 0 < len(before) < len(found)
    assert outcome.units_failed == 0
    assert not found.duplicated([*KEYS, "attack", "seed"]).any()
    pd.testing.assert_frame_equal(found, whole)


def of_all(location: str) -> pd.DataFrame:
    """Every verdict of a run, in one order."""
    return runs.verdicts(location).sort_values([*KEYS, "attack", "seed"], ignore_index=True)
