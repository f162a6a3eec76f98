"""Whatever is done to a run's folder: one line says what is wrong, and `resume` makes it whole."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.pipeline import results
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.schema import TABLES
from gauntlet.pipeline.run.plan import plan_of
from tests.toys.former import as_former
from tests.toys.jobs import attacks, plan
from tests.toys.parts import left_in_parts

TWO = "  - {base: i, epsilon: 8/255, steps: 1}\n  - {base: mi, epsilon: 8/255, steps: 2}"


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})


def entries(run: Path) -> list[Path]:
    return sorted((run / "record").iterdir())


def rows(run: Path) -> dict[str, pd.DataFrame]:
    """Every table as anybody reads it, each row once whoever wrote it."""
    found = {}
    for table in TABLES:
        if not any((run / table).glob("*.parquet")):
            continue
        frame = pd.read_parquet(run / table).drop(columns="unit")
        keys = [name for name in ("example", "attack", "target", "step") if name in frame]
        assert not frame.duplicated(keys).any()
        found[table] = frame.sort_values(keys).reset_index(drop=True)
    return found


def assert_whole(run: Path, sound: Path) -> None:
    assert not RunFolder(str(run)).damage(whole=True)
    expected, found = rows(sound), rows(run)
    assert found.keys() == expected.keys()
    for table, frame in expected.items():
        pd.testing.assert_frame_equal(found[table], frame)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    made = plan(folder, attacks(TWO), ("batch: 4", "batch: 4, part_seconds: 0"))
    with left_in_parts():
        assert launch(made, str(folder / "run")).units_done == 4
    return folder / "run"


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def first(run: Path, table: str) -> Path:
    return min((run / table).glob("*.parquet"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)


def edit_last(run: Path) -> None:
    path = entries(run)[-1]
    path.write_text(path.read_text().replace('"lost":0', '"lost":1'))


def edit_choice(run: Path) -> None:
    path = run / "selection.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))


TAMPERED: list[tuple[Callable[[Path], object], str, str]] = [
    (lambda run: first(run, "verdicts").unlink(), "verdicts/{verdicts}.parquet is missing",
     "does 1 unit again"),
    (lambda run: cut(first(run, "traces")), "traces/{traces}.parquet was cut (100 of ",
     "does 1 unit again"),
    (lambda run: flip(first(run, "verdicts")), "verdicts/{verdicts}.parquet was changed",
     "does 1 unit again"),
    (lambda run: shutil.copy(first(run, "verdicts"), run / "verdicts" / "x.parquet"),
     "verdicts/x.parquet is in no commit", "removes 1 unlisted file and does what is left"),
    (lambda run: (run / "plan.json").unlink(), "plan.json is missing", "writes plan.json anew"),
    (lambda run: edit_choice(run), "selection.json was edited", "chooses the examples again"),
    (lambda run: entries(run)[1].unlink(), "record entry 000001 is missing",
     "goes on without what it said"),
    (lambda run: entries(run)[2].unlink(), "record entry 000002 is missing", "removes "),
    (lambda run: edit_last(run), "was edited", "removes "),
    (lambda run: entries(run)[-1].unlink(), "is in no commit", "removes "),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "wrong", "remedy"), TAMPERED)
def test_what_was_tampered_with_is_said_and_made_whole(
    tamper: Callable[[Path], object], wrong: str, remedy: str, run: Path, sound: Path
) -> None:
    if wrong.startswith("record entry 000002") and len(entries(run)) == 3:
        pytest.skip("all units were finished within one commit")
    names = {table: first(run, table).stem for table in ("verdicts", "traces")}
    tamper(run)
    report = gauntlet("report", str(run))
    assert report.exit_code == 0, report.output
    (line,) = [line for line in report.stdout.splitlines() if "damaged run: " in line]
    assert wrong.format(**names) in line
    assert f"`gauntlet resume {run}` " in line
    assert remedy in line
    again = gauntlet("resume", str(run))
    assert again.exit_code == 0, again.output
    assert line.removeprefix("warning: ") in again.stderr
    assert_whole(run, sound)
    assert gauntlet("resume", str(run)).stderr == "nothing left to do: all 4 units are finished\n"


def test_a_changed_image_shows_when_resumed(run: Path, sound: Path) -> None:
    flip(first(run, "examples"))
    assert "damaged run" not in gauntlet("report", str(run)).stdout
    assert "was changed" in gauntlet("resume", str(run)).stderr
    assert_whole(run, sound)


def test_reports_leave_damaged_rows_out(run: Path) -> None:
    cut(first(run, "verdicts"))
    assert len(results.read(str(run), "verdicts", sound=True)) == 12
    with pytest.raises(BadInput, match=r"was cut .*: `gauntlet resume .*` makes its rows anew"):
        results.read(str(run), "verdicts")


@pytest.mark.parametrize("table", ["examples", "verdicts", "traces"])
def test_a_compacted_run_is_made_whole_to_the_last_byte(table: str, run: Path, sound: Path) -> None:
    assert gauntlet("compact", str(run)).exit_code == 0
    before = {path: path.read_bytes() for path in run.glob("*/*.parquet")}
    assert len(before) == 3
    flip(first(run, table))
    again = gauntlet("resume", str(run))
    assert again.exit_code == 0, again.output
    assert f"damaged run: {table}/00000-" in again.stderr
    assert "does 4 units again" in again.stderr
    assert {path: path.read_bytes() for path in run.glob("*/*.parquet")} == before
    assert_whole(run, sound)


def test_an_edited_plan_is_refused_with_its_fields(run: Path, sound: Path) -> None:
    path = run / "plan.json"
    plan_of_run = json.loads(path.read_text())
    plan_of_run["attacks"][1]["steps"] = 9
    plan_of_run["seed"] = 3
    path.write_text(json.dumps(plan_of_run))
    wrong = "damaged run: plan.json was edited (attacks.1.steps: 2 -> 9, seed: 0 -> 3); "
    assert wrong in gauntlet("report", str(run)).stdout
    refused = gauntlet("resume", str(run))
    assert refused.exit_code == 2
    assert wrong in refused.stderr
    assert f"delete plan.json, and `gauntlet resume {run}` writes that one anew" in refused.stderr
    path.unlink()
    assert gauntlet("resume", str(run)).exit_code == 0
    assert_whole(run, sound)


def test_another_plan_is_no_way_to_resume(run: Path) -> None:
    other = plan_of(str(run)).model_copy(update={"seed": 5})
    with pytest.raises(BadInput, match="cannot resume with another plan: seed: 0 -> 5; of a run"):
        launch(other, str(run), resume=True)


def test_without_its_first_entry_a_run_is_read_and_not_resumed(run: Path) -> None:
    entries(run)[0].unlink()
    report = gauntlet("report", str(run))
    assert report.exit_code == 0
    refused = gauntlet("resume", str(run))
    assert refused.exit_code == 2
    for text in (report.stdout, refused.stderr):
        assert "record entry 000000 is missing; the record says no more what the run began" in text


def test_a_record_of_a_later_format_is_refused(run: Path) -> None:
    path = entries(run)[0]
    path.write_text(path.read_text().replace('"format":1', '"format":7'))
    for command in ("resume", "report"):
        refused = gauntlet(command, str(run))
        assert refused.exit_code == 2
        assert "its record is of format 7, this version knows 1" in refused.stderr


def test_a_run_of_version_0_1_is_reported_and_not_resumed(run: Path) -> None:
    as_former(run)
    before = rows(run)
    assert gauntlet("report", str(run)).exit_code == 0
    assert gauntlet("resume", str(run)).stderr == "nothing left to do: all 4 units are finished\n"
    next((run / "ledger").iterdir()).unlink()
    report = gauntlet("report", str(run))
    assert report.exit_code == 0
    assert "damaged" not in report.stdout
    assert f"gauntlet resume {run}" not in report.stdout
    assert "these figures are of what is: a run without a record, as version 0.1" in report.stdout
    refused = gauntlet("resume", str(run))
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()[-1:]
    assert line.startswith(f"{run}: a run without a record, as version 0.1 left them, is read")
    assert rows(run).keys() == before.keys()
    assert not (run / "lock.json").exists()


KILLED = """\
import os, signal, sys
from gauntlet.actors.launch import launch
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import Commit
from gauntlet.pipeline.run.plan import plan_of
from gauntlet.pipeline.models.sources.permission import granted

append = Record.append

def killed(self, entry):
    if isinstance(entry, Commit):
        os.kill(os.getpid(), signal.SIGKILL)
    append(self, entry)

Record.append = killed
launch(plan_of(sys.argv[1]), sys.argv[2], permission=granted())
"""


def test_a_kill_between_a_table_and_its_commit(sound: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(sound), str(run)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert any((run / "_parts" / "verdicts").iterdir())
    assert (run / "lock.json").exists()
    folder = RunFolder(str(run))
    assert folder.finished() == set()
    assert folder.table("verdicts").num_rows == 0, "no commit lists these rows"
    assert "is in no commit" in folder.damage().line
    again = gauntlet("resume", str(run))
    assert again.exit_code == 0, again.output
    assert "took the run over from process " in again.stderr
    assert not (run / "lock.json").exists()
    assert_whole(run, sound)


def test_where_and_how_may_change_and_what_may_not(run: Path, sound: Path) -> None:
    refused = gauntlet("resume", str(run), "--set", "seed=4", "--set", "resources.dtype=float64")
    assert refused.exit_code == 2
    why = "a run that has begun keeps it; root, resources.placement, "
    for place in ("seed", "resources.dtype"):
        assert f"--set {place}: {why}" in refused.stderr
    wrong = gauntlet("resume", str(run), "--set", "resources.batch=none")
    assert wrong.exit_code == 2
    assert "resources.batch: Input should be a valid integer" in wrong.stderr
    lost = first(run, "verdicts")
    lost.unlink()
    done = gauntlet("resume", str(run), "--set", "resources.threads=1", "--placement", "in-process")
    assert done.exit_code == 0, done.output
    assert 'goes on with resources.threads: "auto" -> 1' in done.stderr
    assert json.loads((run / "plan.json").read_text())["resources"]["threads"] == 1
    assert plan_of(str(run)).resources.threads == 1
    assert_whole(run, sound)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_another_batch_cuts_the_examples_that_are_left(batch: int, run: Path, sound: Path) -> None:
    one, *lost = sorted((run / "verdicts").iterdir())
    for path in lost:  # one unit is left: its batch keeps its cut, the other one is cut anew
        path.unlink()
    kept = one.stat().st_mtime_ns
    with left_in_parts():
        done = gauntlet("resume", str(run), "--set", f"resources.batch={batch}")
    assert done.exit_code == 0, done.output
    assert one.stat().st_mtime_ns == kept
    note = (
        "examples that no unit has begun are cut anew, and the last bits of their rows may differ"
    )
    assert f"goes on with resources.batch: 4 -> {batch}; {note}" in done.stderr
    assert any(note in path.read_text() for path in entries(run)[-3:])
    found, expected = rows(run), rows(sound)
    for table, frame in expected.items():
        keys = [name for name in ("example", "attack", "target", "step") if name in frame]
        assert found[table][keys].equals(frame[keys])
    assert not RunFolder(str(run)).damage(whole=True)
    first(run, "verdicts").unlink()  # and so it is when it goes on once more
    assert gauntlet("resume", str(run)).exit_code == 0
    assert len(rows(run)["verdicts"]) == 16
