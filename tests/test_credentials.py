"""Addresses lose their user and password, and nothing else, wherever text goes out or is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.credentials import without_credentials
from gauntlet.pipeline.problems import Problem
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.run_log import RunLog, log_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no http://me:pa/ss+w@proxy:80/x, s3://key@b", "no http://***@proxy:80/x, s3://***@b"),
        ("got 'ray://me:p@ss@h:1'", "got 'ray://***@h:1'"),
        *((same, same) for same in ("s3://bucket/me@host/run", "http://head:8265/me@host")),
        *((same, same) for same in ("me@host, 3 @ 2", "see http://host:1", "s3://b and a@b")),
    ],
)
def test_what_stands_before_the_host_is_left_out(text: str, said: str) -> None:
    assert without_credentials(text) == said


def test_no_way_out_says_a_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = "http://me:secret@proxy:80 is gone"
    with RunLog(RunFolder(str(tmp_path))) as log:
        log.add(f"ended by OSError: {address}")
    Terminal().print(address)
    said = [log_of(RunFolder(str(tmp_path))), capsys.readouterr().out, str(Problem("x", address))]
    assert all("http://***@proxy:80 is gone" in text for text in said)
