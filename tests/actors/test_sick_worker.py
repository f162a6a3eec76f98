"""A worker that fails whatever it is given costs no unit: it is replaced, then retired."""

import threading

import pytest

from gauntlet.actors.launch import launch
from gauntlet.pipeline import results
from tests.toys.runs import KEYS, loaded, network, verdicts
from tests.toys.sick import sick

EXAMPLES = 24
REPLACED = " failed several units in a row: its process is replaced"
RETIRED = ": it gets nothing more to do"


def heal(run, go, over):
    """Let the healthy worker work when the sick one gets nothing more, or all is over."""
    while not over.wait(0.1):
        if (run / "run.log").exists() and RETIRED in (run / "run.log").read_text():
            break
    go.touch()


@pytest.mark.slow
def test_a_sick_process_is_replaced_then_retired_and_no_unit_fails(tmp_path):
    job = loaded(
        tmp_path,
        surrogates=[sick("plain", tmp_path), network("separable")],
        resources={"batch": 1, "threads": 1, "workers": 2, "placement": "packed"},
    )
    run, over = tmp_path / "run", threading.Event()
    healing = threading.Thread(target=heal, args=(run, tmp_path / "go", over))
    healing.start()
    try:
        outcome = launch(job.plan, str(run), permission=job.permission)
    finally:
        over.set()
        healing.join()
    told = [line.partition(" ")[2] for line in (run / "run.log").read_text().splitlines()]
    (replaced,) = [line for line in told if line.endswith(REPLACED)]
    assert [line for line in told if line.endswith(RETIRED)] == [
        replaced.replace(REPLACED, f": fails as before{RETIRED}")
    ]
    assert (outcome.units_done, outcome.units_failed) == (EXAMPLES * 2, 0)
    assert results.read(str(run), "failures").empty
    assert not verdicts(run).duplicated(KEYS).any()
