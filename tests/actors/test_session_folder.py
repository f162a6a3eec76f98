"""A local session's folder: short enough for sockets, gone at the end, swept after a death."""

import subprocess
import sys
from pathlib import Path

import pytest

from gauntlet.actors import session_folder
from gauntlet.actors.session_folder import LONGEST, SessionFolder
from gauntlet.pipeline.problems import BadInput

HOLDER = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A place with a short name for folders, and nowhere else to look."""
    monkeypatch.setattr(session_folder, "LONGEST", 200)
    monkeypatch.setattr(session_folder, "_places", lambda: iter([(str(tmp_path), tmp_path)]))
    return tmp_path


def test_a_folder_of_a_dead_session_is_deleted_and_one_of_a_living_stays(place):
    alive, left = place / "gauntlet-alive000", place / "gauntlet-left0000"
    others = place / "gauntlet-notes", place / "else"
    for folder in (alive, left, *others):
        (folder / "logs").mkdir(parents=True)
    command = [sys.executable, "-c", HOLDER, str(alive)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        mine = SessionFolder.make(print)
        assert {*place.iterdir()} == {alive, *others, mine.path}
        holder.kill()
    again = SessionFolder.make(print)
    assert {*place.iterdir()} == {*others, mine.path, again.path}
    for folder in (mine, again):
        folder.remove()
    assert {*place.iterdir()} == {*others}


WRITER = """
import sys, time
with open(sys.argv[1] + "/log", "w"):
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_left_of_a_dead_session_is_ended_with_its_folder(place):
    left = place / "gauntlet-left0000"
    left.mkdir(parents=True)
    command = [sys.executable, "-c", WRITER, str(left)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as agent:
        try:
            assert agent.stdout is not None
            assert agent.stdout.readline() == b"writing\n"
            SessionFolder.make(print).remove()
            assert agent.wait(60) == -9
        finally:
            agent.kill()
    assert not left.exists()


def test_a_link_is_not_followed_when_folders_are_deleted(place, tmp_path_factory):
    precious = tmp_path_factory.mktemp("precious")
    (precious / "thesis").write_text("")
    (place / "gauntlet-link0000").symlink_to(precious)
    SessionFolder.make(print).remove()
    assert (precious / "thesis").exists()


def test_what_cannot_hold_sockets_is_said_and_passed_over(monkeypatch):
    notes: list[str] = []
    monkeypatch.setenv("RAY_TMPDIR", f"/tmp/{'x' * LONGEST}")
    monkeypatch.setenv("TMPDIR", "/proc")
    folder = SessionFolder.make(notes.append)
    folder.remove()
    assert folder.path.parent == Path("/tmp")
    assert "RAY_TMPDIR (/tmp/xxx" in notes[0]
    assert f"longer than {LONGEST} characters" in notes[0]
    assert notes[1] == "TMPDIR (/proc) is not used for Ray's files: No such file or directory"


def test_without_any_place_the_message_says_what_to_do(monkeypatch):
    places = [("RAY_TMPDIR", Path("/proc")), ("/tmp", Path("/proc/none"))]
    monkeypatch.setattr(session_folder, "_places", lambda: iter(places))
    with pytest.raises(BadInput) as caught:
        SessionFolder.make(lambda text: None)
    assert str(caught.value) == (
        "RAY_TMPDIR: no place for the files of a local Ray session (RAY_TMPDIR: No such file or "
        "directory; /tmp: No such file or directory); name a folder of at most "
        f"{LONGEST} characters that may be written to, or use placement in-process"
    )
