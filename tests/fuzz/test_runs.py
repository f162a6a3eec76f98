"""Folders of runs, every file of them changed: commands say what is wrong, or what they found."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.make_report import make_report
from gauntlet.jobs.cli.show_status import show_status
from gauntlet.jobs.cli.verify_run import verify_run
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.record.entries import digest_of
from gauntlet.pipeline.run.plan import plan_of
from gauntlet.pipeline.run.taking_up import taken_up
from tests.fuzz.inputs import edited, edits, fuzzed, mutated, mutations, read
from tests.toys.jobs import plan
from tests.toys.parts import left_in_parts

FILES = ("plan.json", "manifest.json", "selection.json", "run.log", "record", "examples",
         "verdicts", "traces")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs")
    with left_in_parts():
        launch(plan(made, ("batch: 4", "batch: 4, part_seconds: 0")), str(made / "parts"))
    launch(plan(made), str(made / "compacted"))
    (made / "beside.parquet").write_text("somebody's")
    return made


def report(run: str) -> int:
    return make_report(
        [run], csv=None, targets=True, steps=True, against=None, plots=None, html=None
    )


def take_up(run: str) -> None:
    """What `resume` does before it starts models; where the disk fails it, it says so and stops."""
    plan = plan_of(run)
    with suppress(OSError):
        taken_up(plan, RunFolder(run), Silent(), None)


ACTIONS: dict[str, Callable[[str], object]] = {
    "status": show_status,
    "report": report,
    "verify": lambda run: verify_run(run, 0, 0, []),
    "resume": take_up,
}


def run_command(folder: Path, of: str, command: str, change: Callable[[Path], None]) -> None:
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(folder / of, run)
    change(run)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        read(f"run folder, {command}", run, lambda: ACTIONS[command](str(run)))
    assert (folder / "beside.parquet").exists()  # Arrow's own calls no hook hears of


commands = st.sampled_from(sorted(ACTIONS))


def one_of(run: Path, name: str, number: int) -> Path:
    path = run / name
    if path.is_dir():
        inner = sorted(path.iterdir())
        return inner[number % len(inner)]
    return path


@pytest.mark.parametrize("of", ["parts", "compacted"])
@fuzzed
@given(commands, st.sampled_from(FILES), st.integers(0, 99), edits)
def test_any_damage_of_a_file(
    folder: Path, of: str, command: str, name: str, number: int, changes: list[tuple[str, int, int]]
) -> None:
    def change(run: Path) -> None:
        path = one_of(run, name, number)
        path.write_bytes(edited(path.read_bytes(), changes))

    run_command(folder, of, command, change)


@fuzzed
@given(commands, st.sampled_from(["plan.json", "manifest.json", "selection.json", "record"]),
       st.integers(0, 99), mutations)  # fmt: skip
def test_any_part_of_what_is_json(
    folder: Path, command: str, name: str, number: int, changes: list[tuple[str, int, int, Any]]
) -> None:
    """Entries of the record keep a digest that fits: as somebody would write them."""

    def change(run: Path) -> None:
        path = one_of(run, name, number)
        content = mutated(json.loads(path.read_text()), changes)
        if name == "record" and isinstance(content, dict):
            content["digest"] = digest_of(content.get("link"))
        path.write_text(json.dumps(content))

    run_command(folder, "parts", command, change)


@fuzzed
@given(
    commands,
    st.sampled_from(FILES),
    st.integers(0, 99),
    st.sampled_from(FILES),
    st.integers(0, 99),
    st.sampled_from(["delete", "swap", "folder", "link", "double"]),
)
def test_any_file_in_another_place(
    folder: Path, command: str, name: str, number: int, other: str, place: int, what: str
) -> None:
    def change(run: Path) -> None:
        path, second = one_of(run, name, number), one_of(run, other, place)
        content = path.read_bytes()
        match what:
            case "delete":
                path.unlink()
            case "swap":
                path.write_bytes(second.read_bytes())
                second.write_bytes(content)
            case "folder":
                path.unlink()
                path.mkdir()
            case "link":
                path.unlink()
                path.symlink_to("/dev/zero")
            case "double":
                path.with_name(f"9{path.name}").write_bytes(content)

    run_command(folder, "parts", command, change)
