"""Whatever happens to a run: after it, or after `resume`, every row is there once and unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import processes, results, warm
from tests.faults.aftermath import Aftermath
from tests.faults.case import Case, undisturbed
from tests.faults.fault import faults
from tests.faults.job import Undisturbed

SEEDS = 30
USUAL = {"driver_killed": 0, "interrupted": 2, "bit_flipped": 0, "second_driver": 0}
"""Faults of the default suite, with the seeds: all in one process, where a case takes seconds."""
BY_HAND = {
    "worker_stopped", "memory_monitor", "memory_for_few_rows", "small_object_store",
    "small_shared_memory", "target_killed", "slow", "sick", "all_sick", "cluster_gcs_killed",
    "cluster_raylet_killed",
}  # fmt: skip
"""Faults that only `make faults` has: they take minutes, or gigabytes. A sick worker on Ray has a
test of its own."""
SEEDS_OF_SLOW = {"disk_full": 1, "disk_full_for_a_while": 2, "folder_removed": 1, "hung_up": 2,
                 "terminated": 3, "terminated_twice": 2}  # fmt: skip
"""Seeds of the slow suite that are not 0: their cases are in one process."""
RESULTS = "GAUNTLET_FAULTS_RESULTS"
"""Names the file that takes results; cases that it has already are not done again."""


@pytest.fixture(scope="module", autouse=True)
def _adopting():
    with processes.adopting(), warm.ready():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return what gives the undisturbed run of a fault's job."""
    made: dict[str, Undisturbed] = {}

    def of(fault):
        key = repr((fault.pixels, fault.attacks))
        if key not in made:
            folder = tmp_path_factory.mktemp("whole") / "case"
            made[key] = undisturbed(folder, fault.pixels, fault.attacks)
        return made[key]

    return of


def cases() -> Iterator[object]:
    """Yield every fault at the first seed, then at the next: a sweep that is ended has all."""
    for seed in range(SEEDS):
        for name in faults():
            usual = USUAL.get(name) == seed
            slow = seed == SEEDS_OF_SLOW.get(name, 0) and name not in USUAL.keys() | BY_HAND
            marks = () if usual else (pytest.mark.slow if slow else pytest.mark.soak,)
            yield pytest.param(name, seed, marks=marks, id=f"{name}-{seed}")


@pytest.mark.parametrize(("name", "seed"), cases())
def test_every_row_is_there_once_and_unchanged(name, seed, whole, tmp_path):
    fault = faults()[name]
    if reason := fault.missing():
        pytest.skip(reason)
    file = Path(os.environ[RESULTS]) if RESULTS in os.environ else None
    if file and any((r["fault"], r["seed"]) == (name, seed) for r in results.read(file)):
        pytest.skip("done before")
    with Case(fault, seed, tmp_path / "case", whole(fault)) as case:
        result = Aftermath(case).result()
    if file:
        results.add(file, result)
    assert not result.wrong, result
