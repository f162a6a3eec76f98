"""The guard itself: what it is there for is refused, and only while it is up."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz.contained import Forbidden, contained


def run_code(folder: Path) -> None:
    (folder / "evil.py").write_text("made = 1\n")
    sys.path.insert(0, str(folder))
    try:
        __import__("evil")
    finally:
        sys.path.remove(str(folder))


def unpickle(folder: Path) -> None:
    pickle.loads(b"\x80\x02cos\ngetcwd\n)R.")


def hidden(folder: Path) -> None:
    with suppress(BaseException):
        subprocess.run(["true"], check=True)


ACTIONS: list[Callable[[Path], object]] = [
    lambda folder: subprocess.run(["true"], check=True),
    lambda folder: os.system("true"),
    lambda folder: socket.create_connection(("127.0.0.1", 9)),
    lambda folder: (folder.parent / "beside").write_text(""),
    lambda folder: (folder.parent / "beside").mkdir(),
    lambda folder: exec("1"),
    run_code,
    unpickle,
    hidden,
]


@pytest.mark.parametrize("action", ACTIONS)
def test_what_no_input_may_bring_about(tmp_path: Path, action: Callable[[Path], object]) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    with pytest.raises(Forbidden), contained(folder):
        action(folder)
    assert not (tmp_path / "beside").exists()


def test_what_readers_do_is_let_through(tmp_path: Path) -> None:
    with contained(tmp_path):
        (tmp_path / "file").write_text("text")
        assert (tmp_path / "file").read_text() == "text"
        (tmp_path / "file").rename(tmp_path / "other")
    subprocess.run(["true"], check=True)
