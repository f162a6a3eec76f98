"""A signal ends a command, in time, also one whose cleaning up never comes to an end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from gauntlet.jobs.cli.exit_status import Status

STUCK = """
import signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)  # whatever started the tests may ignore some
from gauntlet.jobs.cli import signals
from gauntlet.jobs.cli.signals import at_the_limit, signals_raised
signals.LIMIT = 0.2
with signals_raised(), at_the_limit(lambda error: print("last:", type(error).__name__)):
    try:
        print("ready", flush=True)
        time.sleep(600)
    except KeyboardInterrupt as error:
        print("raised:", type(error).__name__)
        time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "status", "name"),
    [
        (signal.SIGINT, Status.INTERRUPTED, "KeyboardInterrupt"),
        (signal.SIGTERM, Status.TERMINATED, "Terminated"),
        (signal.SIGHUP, Status.HUNG_UP, "HungUp"),
    ],
)
def test_a_process_that_hangs_while_it_cleans_up_is_ended(
    number: int, status: Status, name: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        try:
            said, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert said.splitlines() == [f"raised: {name}", f"last: {name}"]
    assert process.returncode == status


def test_what_was_ignored_stays_ignored() -> None:
    script = (
        "import os, signal\n"
        "from gauntlet.jobs.cli.signals import signals_raised\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with signals_raised():\n    os.kill(os.getpid(), signal.SIGHUP)\n"
        "print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
