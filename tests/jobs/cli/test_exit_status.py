"""The exit status means the same in every command, and resuming is named where it can help."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.cli.exit_status import Status, end
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import RunFolder, parquet
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.run.unit import UnitRows
from tests.toys import jobs as tiny

README = Path(__file__).parents[3] / "README.md"


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"})


def verbs(group: typer.Typer, *path: str) -> Iterator[tuple[str, ...]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*path, command.name or command.callback.__name__)
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        name = inner.name or inner.typer_instance.info.name
        assert name is not None
        yield from verbs(inner.typer_instance, *path, name)


@pytest.mark.parametrize("path", [(), *verbs(app)], ids=" ".join)
def test_every_help_says_what_the_statuses_mean(path: tuple[str, ...]) -> None:
    text = " ".join(gauntlet(*path, "--help").output.split())
    for status in Status:
        assert f"{status:d} {status.meaning}" in text


def test_the_readme_says_what_the_statuses_mean() -> None:
    text = README.read_text()
    for status in Status:
        assert f"| {status:d} | {status.meaning} |" in text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput(Problem("a", "b")), Status.REFUSED),
        (KeyboardInterrupt(), Status.INTERRUPTED),
        (ZeroDivisionError(), Status.STOPPED),
    ],
)
def test_whatever_ends_a_command_has_its_status(error: BaseException, status: Status) -> None:
    def command() -> int:
        raise error

    with pytest.raises(typer.Exit) as caught:
        end(command)
    assert caught.value.exit_code == status


def test_a_terminated_command_cleans_up_and_says_so() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    cleaned = []

    def command() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)
        return 0

    with pytest.raises(typer.Exit) as caught:
        end(command)
    assert caught.value.exit_code == Status.TERMINATED
    assert int(Status.TERMINATED) == 143
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) == handler


class Narrow(nn.Module):
    """Takes one image at a time; a batch of several is too much for it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner = tiny.network(seed)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.requires_grad:
            raise ValueError("one image at a time")
        return self.inner(images)


def narrow(seed: int) -> nn.Module:
    return Narrow(seed)


def test_units_that_would_fail_again_are_not_said_to_be_resumable(tmp_path: Path) -> None:
    old, new = "tests.toys.jobs:network", f"{__name__}:narrow"
    seed = '", options: {seed: 0}'
    path, out = tiny.write(tmp_path, (old + seed, new + seed)), tmp_path / "run"
    result = gauntlet("run", str(path), "--out", str(out))
    assert result.exit_code == Status.INCOMPLETE
    assert result.stderr.splitlines()[-3:] == [
        "2 units of work failed, and would fail again:",
        "  ValueError: one image at a time",
        f"every reason is in {out}/failures; its cause mended, gauntlet resume {out} tries a unit "
        "again",
    ]


class Greedy(nn.Module):
    """Has no memory for the gradients of more than two images."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner = tiny.network(seed)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.requires_grad and len(images) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner(images)


def greedy(seed: int) -> nn.Module:
    return Greedy(seed)


def test_where_memory_is_short_passes_are_halved_and_the_report_says_so(tmp_path: Path) -> None:
    old, new = "tests.toys.jobs:network", f"{__name__}:greedy"
    seed = '", options: {seed: 0}'
    path, out = tiny.write(tmp_path, (old + seed, new + seed)), tmp_path / "run"
    result = gauntlet("run", str(path), "--out", str(out))
    assert result.exit_code == Status.DONE, result.output
    record = Record.read(RunFolder(str(out)))
    assert record is not None
    assert {record.rows_per_pass(unit) for unit in record.units} == {2}
    text = " ".join(result.stdout.split())
    assert "2 units of work done with fewer rows a pass than planned, as memory was short" in text
    assert "(resources.rows_per_pass 2)" in text


def test_an_out_of_memory_in_this_process_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr(parquet, "rows_of", short)
    result = gauntlet("run", str(tiny.write(tmp_path)), "--out", str(tmp_path / "run"))
    assert result.exit_code == Status.STOPPED
    said = result.stderr.splitlines()[-1]
    assert said.startswith("stopped: this process ran out of memory: smaller resources.batch")
    assert said.endswith(f"go on with: gauntlet resume {tmp_path / 'run'}")
    assert "Traceback" not in result.stderr


def test_units_that_the_storage_failed_are_said_to_be_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(UnitRows, "of", full)
    result = gauntlet("run", str(tiny.write(tmp_path)), "--out", str(tmp_path / "run"))
    assert result.exit_code == Status.INCOMPLETE
    last = f"2 units of work failed; try them again with: gauntlet resume {tmp_path / 'run'}"
    assert result.stderr.splitlines()[-1] == last
