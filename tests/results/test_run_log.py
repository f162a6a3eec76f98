"""A run's log: it grows with every attempt, in parts where files cannot grow."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gauntlet.pipeline.results.run_log import RunLog, last_line, log_of
from gauntlet.pipeline.results.storage import Storage


class Objects(Storage):
    """Files that are only ever written whole, as an object store's."""

    @property
    def moves(self) -> bool:
        return False


@pytest.fixture(params=[Storage, Objects])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    found: Storage = request.param(str(tmp_path))
    return found


def texts(run: Storage) -> list[str]:
    return [line.partition(" ")[2] for line in log_of(run).splitlines()]


def test_attempts_add_to_one_log_with_the_time_on_every_line(run: Storage) -> None:
    assert log_of(run) == ""
    for attempt in ("one", "two"):
        with RunLog(run) as log:
            log.add(f"{attempt} begins\nand has two lines")
            log.add("earlier", when=0.0)
    assert texts(run) == [
        *("one begins", "and has two lines", "earlier"),
        *("two begins", "and has two lines", "earlier"),
    ]
    assert all(re.match(r"\d{4}-\d\d-\d\dT[\d:]{8}[+-]\d{4} ", t) for t in log_of(run).splitlines())


def test_on_an_object_store_a_log_is_in_parts_that_are_written_as_they_come(tmp_path: Path) -> None:
    run = Objects(str(tmp_path))
    with RunLog(run, every=0.01) as log:
        for number in range(3):
            log.add(str(number))
            while len(run.sizes("run.log")) <= number:
                pass
    assert len(os.listdir(tmp_path / "run.log")) == 3
    assert texts(run) == ["0", "1", "2"]


def test_a_run_that_is_withdrawn_takes_its_log_along(run: Storage, tmp_path: Path) -> None:
    with RunLog(run) as log:
        log.add("refused")
    run.withdraw()
    assert not tmp_path.exists()


def test_a_log_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "run.log").mkdir()
    with RunLog(Storage(str(tmp_path))) as log:
        log.add("lost")


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_log_that_is_no_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    run = tmp_path / "run"
    run.mkdir()
    if kind == "pipe":
        os.mkfifo(run / "run.log")
    else:
        (run / "run.log").symlink_to(elsewhere)
    with RunLog(Storage(str(run))) as log:  # a pipe without a reader would wait for ever
        log.add("lost")
    assert elsewhere.read_text() == ""


def test_the_last_line_is_read_from_the_end(run: Storage) -> None:
    assert last_line(run) == ""
    with RunLog(run) as log:
        log.add("x" * 100_000)
        log.add("the last")
    assert last_line(run).endswith(" the last")
