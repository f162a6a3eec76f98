"""A cluster that somebody else has started, and that a run has joined."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import processes
from tests.faults.case import Case
from tests.faults.command import LONGEST
from tests.faults.fault import fault


@contextmanager
def joined(case: Case) -> Iterator[None]:
    """Have a cluster of one node that the run joins, in this context."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={port}"]
    options = ["--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    around = os.environ | case.surroundings
    subprocess.run([*command, *options], env=around, check=True, capture_output=True)
    case.where = ("--address", f"127.0.0.1:{port}")
    try:
        yield
    finally:
        driver = case.command and case.command.pid
        processes.kill_all([found for found in case.living() if found.pid != driver])
        shutil.rmtree(case.ray / "ray", ignore_errors=True)


def ended(case: Case) -> None:
    """Wait until the run has ended, with what it still had to do held where a pass is."""
    assert case.command is not None
    until = time.time() + LONGEST
    while not case.command.ended and time.time() < until:
        time.sleep(0.05)


@fault("packed", "pinned", ends={0, 3})
def cluster_gcs_killed(case: Case) -> None:
    """SIGKILL of the GCS of a cluster that the run has joined."""
    with joined(case), case.moment():
        case.send(signal.SIGKILL, "gcs_server")
        ended(case)


@fault("packed", "pinned", ends={3})
def cluster_raylet_killed(case: Case) -> None:
    """SIGKILL of the raylet of a cluster that the run has joined."""
    with joined(case), case.moment():
        case.send(signal.SIGKILL, "raylet")
        ended(case)
