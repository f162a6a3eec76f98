"""A machine with another clock, or with little memory."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ray._private import utils

from tests.faults.case import Case
from tests.faults.fault import fault
from tests.faults.kinds.storage import not_root
from tests.faults.memory import small_machine

GIB = 2**30


def library() -> Path | None:
    """Return the library that fakes clocks."""
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    return path if path.exists() else None


def no_library() -> str:
    return "" if library() else "libfaketime is not installed"


@fault("in-process", ends={0}, missing=no_library)
def clock_set_back(case: Case) -> None:
    """The driver's clock is set back by an hour."""
    clock = case.folder / "clock"
    clock.write_text("+0")
    case.wrap(
        "env", f"LD_PRELOAD={library()}", f"FAKETIME_TIMESTAMP_FILE={clock}",
        "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
    )  # fmt: skip
    with case.moment():
        clock.write_text("-3600")
    case.struck = 0.0  # by whose clock?


@fault("packed", "pinned", ends={0}, pixels=192, missing=not_root)
def small_shared_memory(case: Case) -> None:
    """`/dev/shm` has 20 MB."""
    inner = 'mount -t tmpfs -o size=20m tmpfs /dev/shm && exec "$@"'
    case.wrap("unshare", "--mount", "--propagation", "private", "sh", "-c", inner, "sh")
    case.begin()


@fault("packed", "pinned", ends={0}, pixels=192)
def small_object_store(case: Case) -> None:
    """Ray's object store has 100 MB."""
    share = 100e6 / utils.get_system_memory()
    case.environment["RAY_DEFAULT_OBJECT_STORE_MEMORY_PROPORTION"] = f"{share:.6f}"
    case.begin()


MACHINE = 4.0
"""GiB of memory; a healthy run takes about half."""
TOO_MUCH = 800
"""Megabytes a row that are too many for it when four rows are in a pass."""
TWO_AT_MOST = {"packed": 700, "pinned": 300}
"""Of one process, or of two surrogates at a time, that are when there are more than two."""
SHORT = ({"base": "i", "steps": 2},)
"""The attacks of a case in which every unit costs several processes."""


def too_little_memory() -> str:
    free = utils.get_system_memory() - utils.get_used_memory()
    return not_root() or ("" if free > MACHINE * GIB else f"takes {MACHINE:g} GiB of free memory")


@fault("packed", "pinned", ends={0}, missing=too_little_memory)
def memory_monitor(case: Case) -> None:
    """Ray's memory monitor kills a process once."""
    with small_machine(case, MACHINE):
        case.infect("greedy", "one", megabytes=TOO_MUCH)
        case.begin()
        case.stopped()


@fault(
    "packed", "pinned", ends={0}, attacks=SHORT, missing=too_little_memory,
    resources={"rows_per_pass": 4, "workers": 1},
)  # fmt: skip
def memory_for_few_rows(case: Case) -> None:
    """Ray's memory monitor kills whoever has more than two rows in a pass."""
    with small_machine(case, MACHINE):
        case.begin()
        case.until(case.has_begun)  # before that nobody counts rows
        case.infect("greedy", "all", TWO_AT_MOST[case.placement], now=True)
        case.stopped()
