"""Ray's start that hangs is said, then ended: whoever waits for it is told."""

import subprocess
import sys

import pytest

DRIVER = """
import os, signal, threading, time
from pathlib import Path

from gauntlet.actors import own_session
from gauntlet.actors.session import connect

own_session.PATIENCE, own_session.LONGEST = 1.0, 5.0

def words(process):
    try:
        return process.read_bytes().decode().split("\\0")
    except OSError:
        return [""]

def stop():
    while own_session._folder is None:
        time.sleep(0.002)
    folder = str(own_session._folder.path)
    while True:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            program, *more = words(process)
            if program.endswith("gcs_server") and folder in " ".join(more):
                os.kill(int(process.parent.name), signal.SIGSTOP)
                return
        time.sleep(0.002)

def lost(cause):
    print(cause, own_session._folder.path.exists(), flush=True)
    os._exit(3)

threading.Thread(target=stop, daemon=True).start()
with own_session.when_lost(lost):
    connect(None, lambda text: print(text, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_start_that_hangs_is_said_and_ended():
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    slow, lost = done.stdout.splitlines()
    assert done.returncode == 3, done.stderr
    assert slow.startswith("Ray is slow to start (is this machine busy?): it is waited for 5 s")
    assert lost == "Ray did not start within 5 s False"
