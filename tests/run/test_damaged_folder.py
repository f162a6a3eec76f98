"""What a run folder or a cache holds, damaged: the file is named, and what to do."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.summary import print_report
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline import results
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.results.reading import Reading, units_of_complete
from gauntlet.pipeline.run import threshold_cache
from gauntlet.pipeline.run.plan import plan_of
from tests.toys import runs as small
from tests.toys.former import as_former

DAMAGE = [b"", b"{", b"[]", b'{"models": 3}', b"\xff\xfe", b"[" * 10_000, b'["a", 3]']


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    small.carry_out(folder, "in-process", select={"limit": 4}, attacks=[{"base": "i", "steps": 1}])
    return folder / "run"


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def refused(action: Callable[[], object], path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        action()
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    assert len(problem.what) < 600
    return problem.what


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_plan(run: Path, content: bytes) -> None:
    (run / "plan.json").write_bytes(content)
    what = refused(lambda: plan_of(str(run)), run)
    assert "plan.json " in what
    assert f"delete plan.json, and `gauntlet resume {run}` writes that one anew" in what
    as_former(run)
    if content not in (b"[" * 10_000,):
        what = refused(lambda: plan_of(str(run)), run / "plan.json")
        assert f"without it {run} cannot go on: put it back from a copy" in what


@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_manifest(run: Path, content: bytes) -> None:
    path = run / "manifest.json"
    path.write_bytes(content)
    for action in (
        lambda: units_of_complete(str(run)),
        lambda: results.manifest(str(run)),
        lambda: launch(plan_of(str(run)), str(run), resume=True),
    ):
        assert f"delete it, and `gauntlet resume {run}` writes it anew" in refused(action, path)


def test_the_way_out_leads_out(run: Path) -> None:
    before = small.verdicts(run)
    path = run / "manifest.json"
    path.write_bytes(b"damaged")
    action = lambda: launch(plan_of(str(run)), str(run), resume=True)  # noqa: E731
    assert "delete it" in refused(action, path)
    path.unlink()
    launch(plan_of(str(run)), str(run), resume=True)
    assert small.verdicts(run).equals(before)


@pytest.mark.parametrize("content", [content for content in DAMAGE if content != b"[]"])
def test_a_damaged_selection(run: Path, content: bytes) -> None:
    path = run / "selection.json"
    before = path.read_bytes()
    path.write_bytes(content)
    launch(plan_of(str(run)), str(run), resume=True)
    assert path.read_bytes() == before


def test_every_table_of_a_report_names_its_damaged_part(run: Path) -> None:
    (path,) = (run / "verdicts").glob("*.parquet")
    whole, console = path.read_bytes(), Terminal(width=400)
    for content in (b"", whole[:-4], whole[:100] + bytes(50) + whole[150:]):
        path.write_bytes(content)
        with console.capture() as shown:
            print_report(Figures(Reading(str(run))), console)
        assert f"damaged run: verdicts/{path.name} was " in shown.get()
        assert "No verdicts" in shown.get()


def test_special_files_in_a_run_folder_are_not_read(run: Path) -> None:
    (run / "plan.json").unlink()
    os.mkfifo(run / "plan.json")
    assert "is a named pipe" in refused(lambda: plan_of(str(run)), run)
    (part,) = (run / "verdicts").glob("*.parquet")
    part.unlink()
    os.mkfifo(part)
    folder = RunFolder(str(run))
    assert "is a named pipe" in refused(lambda: folder.rows("verdicts", part.stem, ["step"]), part)


@pytest.mark.parametrize(
    "content",
    [
        *DAMAGE,
        b'{"threshold": "high"}',
        b'{"threshold": NaN, "pairs": 1, "accuracy": 1, "equal_error_rate": 0}',
    ],
)
def test_a_damaged_threshold_is_found_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path))
    entry = ThresholdRecord.model_validate(
        {"source": "LFW protocol", "pairs": 20, "threshold": 0.5, "accuracy": 1.0, "more": [1]}
        | {"equal_error_rate": 0.0}
    )
    threshold_cache.save("key", entry)
    assert threshold_cache.load("key") == entry
    (tmp_path / "thresholds" / "key.json").write_bytes(content)
    assert threshold_cache.load("key") is None


@pytest.mark.parametrize("name", ["selection.json", "record/000001.json"])
def test_a_device_in_the_place_of_a_file_is_one_problem(run: Path, name: str) -> None:
    (run / name).unlink()
    (run / name).symlink_to("/dev/zero")
    for command in ("report", "status"):
        done = CliRunner().invoke(app, [command, str(run)])
        assert done.exit_code in (0, 2), (command, done.output)
        assert "Traceback" not in done.output, command
    if name == "selection.json":
        found = RunFolder(str(run)).damage()
        assert found.chosen.startswith("cannot be read (is a device")


READ_BY_RESUME = (
    "plan.json",
    "manifest.json",
    "selection.json",
    "record/000000.json",
    "record/000001.json",
    "record",
    "verdicts",
    "verdicts/*.parquet",
    "lock.json",
    "run.log",
)
KINDS = {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": os.mkdir}


@pytest.fixture
def impatient():
    """Let whatever waits for a pipe, or reads a device, fail instead."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", READ_BY_RESUME)
def test_whatever_lies_in_the_place_of_a_file_resume_ends(run: Path, name: str, kind: str) -> None:
    path = next(run.glob(name), run / name)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    KINDS[kind](path)
    if name == "lock.json":
        next((run / "verdicts").iterdir()).unlink()  # or nobody asks who is at work
    done = CliRunner().invoke(app, ["resume", str(run)])
    lines = done.stderr.splitlines()
    assert done.exit_code in (0, 2), lines
    assert not [line for line in lines if line.startswith("Traceback")]
    if done.exit_code:
        assert str(run) in lines[-1]
