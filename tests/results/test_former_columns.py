"""Runs of earlier versions, whose tables have `combine` where today's have `rule`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from gauntlet.jobs.reports.summary import summary
from gauntlet.pipeline import results
from gauntlet.pipeline.results import RunFolder
from tests.toys import runs as small
from tests.toys.former import as_former

TABLES = ("verdicts", "examples", "interactions")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("today")
    small.carry_out(
        folder, "in-process", select={"limit": 4}, resources={"batch": 2},
        attacks=[{"base": "i", "steps": 1}, {"base": "i", "combine": "rgea", "steps": 1}],
        evaluate={"interactions": {"grid": 2}},
    )  # fmt: skip
    return folder / "run"


def parts(run: Path) -> list[Path]:
    return sorted(part for table in TABLES for part in (run / table).glob("*.parquet"))


def age(part: Path) -> None:
    """Write a file as earlier versions did."""
    table = pq.read_table(part)
    names = ["combine" if name == "rule" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), part)


@pytest.fixture
def old(run: Path, tmp_path: Path) -> Path:
    copy = as_former(Path(shutil.copytree(run, tmp_path / "old")))
    for part in parts(copy):
        age(part)
    return copy


def names_of_rules(run: Path) -> set[str]:
    columns = [pq.read_schema(part).names for part in parts(run)]
    return {name for names in columns for name in names if name in ("rule", "combine")}


def assert_read_alike(one: Path, other: Path) -> None:
    for table in TABLES:
        expected = RunFolder(str(one)).table(table)
        assert RunFolder(str(other)).table(table).equals(expected, check_metadata=True)
        unit = parts(one)[0].stem
        columns = ["step", "rule"] if table == "verdicts" else ["rule", "l2"]
        found = RunFolder(str(other)).rows(table, unit, columns)
        assert found.equals(RunFolder(str(one)).rows(table, unit, columns))
        assert set(results.read(str(other), table, ["rule"])["rule"]) == {"ens", "rgea"}
    pd.testing.assert_frame_equal(summary(str(one)), summary(str(other)))


def test_an_old_run_reads_as_a_new_one(run: Path, old: Path) -> None:
    assert names_of_rules(run) == {"rule"}
    assert names_of_rules(old) == {"combine"}
    assert_read_alike(run, old)


def test_files_with_either_name_are_one_table(run: Path, tmp_path: Path) -> None:
    mixed = as_former(Path(shutil.copytree(run, tmp_path / "mixed")))
    for part in parts(mixed)[::2]:
        age(part)
    assert names_of_rules(mixed) == {"rule", "combine"}
    assert_read_alike(run, mixed)
