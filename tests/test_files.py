"""Every file that a job can name is asked what it is before it is read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gauntlet.pipeline.files import escaped, expanded, obstacle


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_only_regular_files_are_files(
    tmp_path: Path, pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, link = tmp_path / "sound", tmp_path / "link"
    sound.write_bytes(b"")
    link.symlink_to(sound)
    assert obstacle(sound) is None
    assert obstacle(link) is None
    assert obstacle(pipe) == "is a named pipe; expected a file"
    assert obstacle(tmp_path) == "is a folder; expected a file"
    assert obstacle(Path("/dev/zero")) == "is a device; expected a file"
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        listening.bind("socket")
        assert obstacle(tmp_path / "socket") == "is a socket; expected a file"


@pytest.mark.parametrize("name", ["none", "none/none", "sound/inside"])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "sound").write_bytes(b"")
    assert obstacle(tmp_path / name) == "no such file"


def test_names_that_are_none(tmp_path: Path) -> None:
    assert obstacle(Path("a\0b")) == "no file can have such a name"
    assert obstacle(Path("a\ud800b")) == "no file can have such a name"
    assert "too long" in str(obstacle(tmp_path / ("x" * 300)))
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    assert "symbolic links" in str(obstacle(circle))


def test_names_as_text() -> None:
    assert escaped(os.fsdecode(b"caf\xe9.png")) == r"caf\xe9.png"
    assert escaped("café.png") == "café.png"
    assert escaped("half \ud800") == r"half \ud800"
    assert expanded("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")
    assert expanded("~/x") == Path.home() / "x"
