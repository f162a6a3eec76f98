"""Disks that are full or read-only, folders that go away, and a second driver on one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.case import Case
from tests.faults.fault import fault

BRIEFLY = {"storage_patience_s": 3.0}
"""Storage that does not come back is not waited for long."""


def not_root() -> str:
    return "" if os.geteuid() == 0 else "only root mounts file systems"


def fill(disk: Path) -> Path:
    """Take all room that a disk has left; return the file that has it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return ballast


@fault("in-process", "packed", ends={3}, resources=BRIEFLY, missing=not_root)
def disk_full(case: Case) -> None:
    """The disk is full until the run has stopped."""
    disk = case.mount("32m")
    with case.moment():
        ballast = fill(disk)
    case.stopped()
    ballast.unlink()


@fault("in-process", "packed", ends={0}, missing=not_root)
def disk_full_for_a_while(case: Case) -> None:
    """The disk is full for 5 s."""
    disk = case.mount("32m")
    with case.moment():
        ballast = fill(disk)
    time.sleep(5)
    ballast.unlink()
    case.harmed()


@fault("in-process", "packed", ends={3}, resources=BRIEFLY, missing=not_root)
def read_only(case: Case) -> None:
    """The run's folder is read-only until the run has stopped."""
    with case.moment():
        # A mount of its own over it: what is open for writing would keep a disk from becoming so.
        subprocess.run(["mount", "--bind", case.run, case.run], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", case.run], check=True)
    try:
        case.stopped()
    finally:
        subprocess.run(["umount", "--lazy", case.run], check=True)


@fault("in-process", "packed", ends={3}, resources=BRIEFLY)
def folder_moved(case: Case) -> None:
    """The run's folder is given another name; it goes on under that one."""
    with case.moment():
        moved = case.run.with_name("moved")
        case.run.rename(moved)
        case.run = moved


@fault("in-process", "packed", ends={3}, resources=BRIEFLY)
def folder_removed(case: Case) -> None:
    """The run's folder is removed with all that is in it."""
    with case.moment():
        while case.run.exists():  # somebody writes into it
            shutil.rmtree(case.run, ignore_errors=True)


@fault("in-process", ends={0})
def second_driver(case: Case) -> None:
    """Another driver resumes the run while it is at work."""
    with case.moment():
        second = case.start("resume", str(case.run))
        if (ending := second.ending()).status != 2:
            case.complain(f"the second driver ended with {ending}")


@fault("in-process", ends={0, 2})
def two_runs(case: Case) -> None:
    """Two runs begin in one folder at the same time."""
    commands = [case.begin(), case.start("run", str(case.job), "--out", str(case.run))]
    statuses = sorted(command.ending().status or 0 for command in commands)
    if statuses != [0, 2]:
        case.complain(f"the two ended with {statuses}")
