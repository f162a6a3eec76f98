"""Signals that ask a driver to end."""

from __future__ import annotations

import os
import signal
import time

from tests.faults.case import Case
from tests.faults.fault import fault
from tests.faults.job import PLACEMENTS


def ask(case: Case, number: signal.Signals, times: int) -> None:
    """Send a signal, to the driver alone or, as a terminal does, to its group."""
    with case.moment() as command:
        send = case.draws.choice([os.kill, os.killpg])
        case.note(f"{times} {number.name} by {send.__name__}")
        send(command.pid, number)
        for _ in range(times - 1):
            time.sleep(case.draws.uniform(0.1, 1.0))
            if not command.ended:
                send(command.pid, number)


@fault(*PLACEMENTS, ends={128 + signal.SIGINT})
def interrupted(case: Case) -> None:
    """SIGINT, as Ctrl-C sends it."""
    ask(case, signal.SIGINT, 1)


@fault(*PLACEMENTS, ends={128 + signal.SIGINT, -signal.SIGINT})
def interrupted_twice(case: Case) -> None:
    """SIGINT twice within a second."""
    ask(case, signal.SIGINT, 2)


@fault(*PLACEMENTS, ends={128 + signal.SIGTERM})
def terminated(case: Case) -> None:
    """SIGTERM, as Kubernetes and Slurm send it before they kill."""
    ask(case, signal.SIGTERM, 1)


@fault(*PLACEMENTS, ends={128 + signal.SIGTERM, -signal.SIGTERM})
def terminated_twice(case: Case) -> None:
    """SIGTERM twice within a second."""
    ask(case, signal.SIGTERM, 2)


@fault(*PLACEMENTS, ends={128 + signal.SIGHUP})
def hung_up(case: Case) -> None:
    """SIGHUP, as of a terminal that was closed."""
    ask(case, signal.SIGHUP, 1)


@fault("packed", "pinned", ends={0})
def worker_stopped(case: Case) -> None:
    """SIGSTOP of a worker for 20 s, then SIGCONT."""
    with case.moment():
        stopped = case.send(signal.SIGSTOP, "PackedWorker", "Hub", "SurrogateActor", "TargetWorker")
    time.sleep(20)
    os.kill(stopped.pid, signal.SIGCONT)
    case.harmed()
