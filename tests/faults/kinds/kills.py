"""Processes that are gone from one moment to the next."""

from __future__ import annotations

import signal

from tests.faults.case import Case
from tests.faults.fault import fault


@fault("in-process", ends={-signal.SIGKILL})
def driver_killed(case: Case) -> None:
    """SIGKILL of the driver."""
    with case.moment():
        case.send(signal.SIGKILL, "driver")


@fault("packed", "pinned", ends={-signal.SIGKILL})
def driver_of_actors_killed(case: Case) -> None:
    """SIGKILL of the driver, whose actors are left alone."""
    with case.moment():
        case.send(signal.SIGKILL, "driver")


@fault("packed", ends={0})
def packed_worker_killed(case: Case) -> None:
    """SIGKILL of a packed worker."""
    with case.moment():
        case.send(signal.SIGKILL, "PackedWorker")


@fault("pinned", ends={0})
def hub_killed(case: Case) -> None:
    """SIGKILL of a hub."""
    with case.moment():
        case.send(signal.SIGKILL, "Hub")


@fault("pinned", ends={0})
def surrogate_killed(case: Case) -> None:
    """SIGKILL of a surrogate."""
    with case.moment():
        case.send(signal.SIGKILL, "SurrogateActor")


@fault("packed", "pinned", ends={0})
def target_killed(case: Case) -> None:
    """SIGKILL of a target's process."""
    with case.moment("target"):
        case.send(signal.SIGKILL, "TargetWorker")


@fault("packed", "pinned", ends={3})
def raylet_killed(case: Case) -> None:
    """SIGKILL of the raylet, the parent of all actors."""
    with case.moment():
        case.send(signal.SIGKILL, "raylet")


@fault("packed", "pinned", ends={3})
def gcs_killed(case: Case) -> None:
    """SIGKILL of Ray's GCS."""
    with case.moment():
        case.send(signal.SIGKILL, "gcs_server")
