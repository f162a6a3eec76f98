"""A run that is disturbed every few seconds for 20 minutes ends, and takes no more than before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gauntlet.pipeline import results
from tests.faults import job, processes, warm
from tests.faults.case import Case
from tests.faults.fault import Fault
from tests.faults.gates import Gates
from tests.faults.job import Undisturbed
from tests.faults.soak import grown, soak
from tests.faults.warm import REPOSITORY

MINUTES = float(os.environ.get("GAUNTLET_SOAK_MINUTES", "20"))
SAMPLES = Path(os.environ.get("GAUNTLET_SOAK_SAMPLES", REPOSITORY / "build" / "soak.csv"))
ATTACKS_A_MINUTE = 5
"""By two workers; an attack of a hundred steps on all examples."""


@pytest.mark.soak
@pytest.mark.parametrize("placement", ["packed", "pinned"])
def test_what_a_disturbed_run_takes_is_flat(placement, tmp_path):
    def disturbed(case: Case) -> None:
        """Something every few seconds."""

    count = max(2, round(MINUTES * ATTACKS_A_MINUTE / 2))  # half of the time a placement
    attacks = [{"base": "mi", "steps": 100, "name": f"attack-{n}"} for n in range(count)]
    fault = Fault(disturbed, (placement,), frozenset({0}), attacks=attacks)
    nothing = Undisturbed(tmp_path, Gates(tmp_path))
    with processes.adopting(), warm.ready(), Case(fault, 0, tmp_path / "case", nothing) as case:
        samples, done = soak(case)
        assert case.command is not None
        ending = case.command.ending()
    SAMPLES.parent.mkdir(parents=True, exist_ok=True)
    samples.assign(placement=placement).to_csv(
        SAMPLES.with_stem(f"{SAMPLES.stem}-{placement}"), index=False
    )
    assert ending.status == 0, ending
    assert sum(done.values()) > 1, done
    frame = results.read(str(case.run), "verdicts")
    assert not frame.duplicated(["example", "attack", "target", "step"]).any()
    assert len(frame) == count * job.EXAMPLES * 2
    assert not grown(samples)
