"""Ray's start that hangs is said, then ended: whoever waits for it is told."""

import subprocess
import sys

import pytest

DRIVER = """
import os, signal

from ray._private import services

from gauntlet.actors import own_session
from gauntlet.actors.lost import when_lost
from gauntlet.actors.session import connect

own_session.PATIENCE, own_session.LONGEST = 1.0, 5.0
begin = services.start_ray_process

def begun(command, kind, *more, **named):
    found = begin(command, kind, *more, **named)
    if kind == "raylet":
        os.kill(found.process.pid, signal.SIGSTOP)
    return found

services.start_ray_process = begun

def lost(cause):
    print(cause, own_session._folder.path.exists(), flush=True)
    os._exit(3)

with when_lost(lost):
    connect(None, lambda text: print(text, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_start_that_hangs_is_said_and_ended():
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    slow, said, lost = done.stdout.splitlines()
    assert done.returncode == 3, done.stderr
    assert slow.startswith("Ray is slow to start (is this machine busy?): it is waited for 5 s")
    assert lost == f"{said} False" == "Ray did not start within 5 s False"
