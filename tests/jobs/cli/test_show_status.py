"""`gauntlet status`: of a run that goes on, stands still, or is done, without torch and Ray."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.pipeline.results.lock import Lock
from gauntlet.pipeline.results.record.entries import Chosen
from gauntlet.pipeline.results.storage import Storage
from tests.run.test_standing import begun, commit


def status(run: Path) -> Result:
    return CliRunner().invoke(app, ["status", str(run)])


def begun_run(run: Path, units: str, failed: str = "") -> Storage:
    storage = Storage(str(run))
    record = begun(storage)
    record.append(Chosen(thresholds={}, examples=20, digest="d"))
    commit(record, units, failed)
    return storage


def test_a_run_that_stands_still_says_how_to_go_on(tmp_path: Path) -> None:
    begun_run(tmp_path, "ab", failed="c")
    found = status(tmp_path)
    assert found.exit_code == 3
    assert f"nobody is at work; go on with: gauntlet resume {tmp_path}" in found.output
    assert re.search(r"2 of 6 done, 3 left, 1 failed", found.output)
    assert re.search(r"attempt: +1: 2 units in \d+ s, [\d,.]+ a minute, \d+ s left", found.output)


@pytest.mark.parametrize("name", ["run.log", "record/000001.json"])
def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    begun_run(tmp_path, "ab", failed="c")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    found = status(tmp_path)
    assert found.exit_code == (3 if name == "run.log" else 2)
    assert found.exception is None or isinstance(found.exception, SystemExit)


def test_an_entry_that_is_damaged_is_named(tmp_path: Path) -> None:
    begun_run(tmp_path, "ab")
    assert "record:" not in status(tmp_path).output
    (tmp_path / "record" / "000001.json").write_text("{")
    found = status(tmp_path)
    assert found.exit_code == 3
    assert re.search(r"record: +entry 000001 .*; what it said is not counted above", found.output)


def test_a_dead_driver_is_told_from_one_at_work(tmp_path: Path) -> None:
    storage = begun_run(tmp_path, "ab")
    with Lock(storage):
        content = storage.read("lock.json")
        found = status(tmp_path)
        assert found.exit_code == 0
        assert re.search(r"driver: +process \d+ on \S+, begun 0 s ago, is at work", found.output)
    storage.write("lock.json", content.replace(b'"born":"', b'"born":"of another '))
    found = status(tmp_path)
    assert found.exit_code == 3
    assert re.search(r"dead \(process .*\); go on with: gauntlet resume", found.output)


@pytest.mark.parametrize(("units", "failed"), [("abcdef", ""), ("abcde", "f")])
def test_a_driver_that_died_after_the_last_unit_left_the_run_standing(
    units: str, failed: str, tmp_path: Path
) -> None:
    storage = begun_run(tmp_path, units, failed)
    with Lock(storage):
        content = storage.read("lock.json")
    storage.write("lock.json", content.replace(b'"born":"', b'"born":"of another '))
    found = status(tmp_path)
    assert "go on with: gauntlet resume" in found.output
    assert found.exit_code == 3


def test_the_status_of_what_is_done_and_of_what_failed(tmp_path: Path) -> None:
    begun_run(tmp_path / "done", "abcdef")
    begun_run(tmp_path / "failed", "abcde", failed="f")
    assert status(tmp_path / "done").exit_code == 0
    assert status(tmp_path / "failed").exit_code == 1
    assert status(tmp_path / "none").exit_code == 2


def test_it_needs_no_torch_and_no_ray(tmp_path: Path) -> None:
    begun_run(tmp_path, "ab")
    script = (
        "import sys\nfrom gauntlet.jobs.cli.show_status import show_status\n"
        "assert show_status(sys.argv[1]) == 3\nassert not {'torch', 'ray'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
