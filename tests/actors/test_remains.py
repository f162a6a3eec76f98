"""What a killed process leaves of its session is ended within seconds, and nothing else is."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gauntlet.actors import remains

LIMIT = 60.0
WRITER = """
import sys, time
with open(sys.argv[1] + "/log", "w"):
    print("writing", flush=True)
    time.sleep(600)
"""
DRIVER = """
import subprocess, sys
from pathlib import Path
from gauntlet.actors import remains
folder, writer = Path(sys.argv[1]), sys.argv[2]
held = remains.lock(folder)
with remains.seen_to(folder):
    agent = subprocess.Popen([sys.executable, "-c", writer, folder], stdout=subprocess.PIPE)
    agent.stdout.readline()
    print(agent.pid, flush=True)
    sys.stdin.read()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "session"
    found.mkdir()
    return found


def start(folder):
    """Return a process that holds a session's folder, and an agent of the session."""
    command = [sys.executable, "-c", DRIVER, str(folder), WRITER]
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert driver.stdout is not None
    return driver, Path("/proc") / driver.stdout.readline().decode().strip()


def wait_until_gone(path):
    until = time.monotonic() + LIMIT
    while path.exists():
        # Somebody has to reap the agent, whose parent is gone: where that is nobody, it is dead.
        if path.parent == Path("/proc") and "\nState:\tZ" in (path / "status").read_text():
            return
        assert time.monotonic() < until, f"{path} is still there"
        time.sleep(0.01)


def test_a_killed_process_s_session_is_ended(folder):
    driver, agent = start(folder)
    with driver:
        assert agent.exists()
        driver.kill()
        wait_until_gone(folder)
        wait_until_gone(agent)


def test_signals_to_the_process_s_group_do_not_end_who_waits(folder):
    command = "import os, signal; os.setpgid(0, 0); signal.signal(2, signal.SIG_IGN)" + DRIVER
    with subprocess.Popen(
        [sys.executable, "-c", command, str(folder), WRITER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as driver:  # fmt: skip
        assert driver.stdout is not None
        driver.stdout.readline()
        subprocess.run(["kill", "-INT", "--", f"-{driver.pid}"], check=True)
        subprocess.run(["kill", "-KILL", "--", f"-{driver.pid}"], check=True)
        wait_until_gone(folder)


@pytest.mark.slow  # it is tried for some seconds
def test_a_folder_that_somebody_else_holds_stays(folder):
    held = remains.lock(folder)
    assert held is not None
    waiting = subprocess.Popen(
        [sys.executable, "-I", "-S", remains.__file__, str(folder)], stdin=subprocess.PIPE
    )
    waiting.communicate(timeout=LIMIT)
    assert folder.exists()


def test_who_waits_is_gone_when_the_context_ends(folder):
    with remains.seen_to(folder):
        found = [path for path in Path("/proc").glob("[0-9]*") if _is_told(path, folder)]
        assert len(found) == 1
    assert not found[0].exists()


def _is_told(process, folder):
    try:
        words = (process / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return False
    return remains.__file__ in words and str(folder) in words
