"""Surrogates with a device each: questions go over sockets, and over Ray when those break."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gauntlet.actors.own_modules import OwnModules
from gauntlet.actors.placement import lay_out
from gauntlet.actors.ray_engine import RayEngine
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.run.runner import Runner
from tests.actors.test_placements import kill_when_running
from tests.toys.held import held
from tests.toys.runs import carry_out, loaded, network, verdicts

ATTACKS = [
    {"base": "mi", "steps": 40, "combine": "rgea"},
    {"base": "mi", "steps": 20, "combine": "ens-logits"},
    {"base": "di-mi", "steps": 20, "combine": "svre"},
]
RESOURCES = {"batch": 4, "threads": 1, "placement": "pinned", "part_megabytes": 0.01}


def connections() -> int:
    """Open connections over sockets of ours, on this machine."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum("@gauntlet-" in line and line.split()[5] == "03" for line in lines)


@pytest.mark.slow
def test_a_surrogate_that_is_killed_is_asked_again(tmp_path: Path) -> None:
    run, go_on = tmp_path / "run", tmp_path / "go on"
    # Three units at a time: some of the first attack's are done by then, and none of the last's.
    surrogates = [held("plain", go_on, 150), network("separable")]
    given = loaded(tmp_path, surrogates=surrogates, attacks=ATTACKS, resources=RESOURCES)
    found = given.plan
    killed: list[int] = []
    arguments = ("SurrogateActor", run, go_on, killed)
    killer = threading.Thread(target=kill_when_running, args=arguments, daemon=True)
    most = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            most = max(most, connections())

    watcher = threading.Thread(target=watch, daemon=True)
    try:
        # As where each surrogate has a device: none waits for its turn.
        layout = lay_out(found, connect(None), "pinned", "a test")
        engine = RayEngine(found, replace(layout, calls=None), modules=OwnModules(given.permission))
        killer.start()
        watcher.start()
        outcome = Runner(found, RunFolder(str(run)), engine, Silent()).run()
    finally:
        over.set()
        disconnect()
    killer.join()
    assert killed, "no actor was killed"
    assert most > 0, "no question went over a socket"
    assert outcome.units_failed == 0
    alone_too = {"surrogates": surrogates, "attacks": ATTACKS, "resources": {"batch": 4}}
    carry_out(tmp_path, "in-process", "alone", **alone_too)
    alone = verdicts(tmp_path / "alone")
    assert verdicts(run).drop(columns="unit").equals(alone.drop(columns="unit"))
