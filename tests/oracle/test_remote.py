"""Surrogates in plain processes that share memory: the same numbers, whatever happens."""

import gc
import os
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from bench.crew import Crew, CrewOracle
from bench.sleepers import sleeper
from gauntlet import Attack
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.exchange.arena import Arena
from tests.toys.surrogates import SmallNet, class_batch, images, oracle

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="shares memory on Linux")

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def crew():
    crew = Crew([partial(SmallNet, seed) for seed in SEEDS])
    yield crew
    crew.close()


@pytest.fixture(scope="module")
def here():
    return oracle(*(SmallNet(seed) for seed in SEEDS))


ATTACKS = [
    Attack(base="mi", combine="rgea", steps=4),
    Attack(base="pgd", combine="svre", steps=3, name="svre"),
    Attack(base="vr", combine="ens", steps=3, options={"vr": {"m": 2}}, name="vr"),
    Attack(base="di-si-mi", combine="mgda", steps=3, options={"si": {"m": 2}}, name="views"),
    Attack(base="mi", combine="ens-logits", steps=3, name="fused"),
    Attack(base="di", combine="ens-probabilities", steps=3, name="fused views"),
]


def assert_same(found, expected):
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.trace.values, expected.trace.values)
    assert found.lost == expected.lost


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.label)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_shared_memory_gives_the_same_numbers(attack, dtype, crew, here):
    batch = class_batch(images(5).to(dtype))
    notes: list[str] = []
    found = run(attack, batch, CrewOracle(crew, Arena(), note=notes.append), quantize=False)
    assert_same(found, run(attack, batch, here, quantize=False))
    assert not notes


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.label)
def test_arrays_travel_with_the_calls_where_no_memory_can_be_had(attack, crew, here):
    batch = class_batch(images(5))
    notes: list[str] = []
    nothing = CrewOracle(crew, Arena(limit=0), note=notes.append)
    assert_same(run(attack, batch, nothing), run(attack, batch, here))
    assert "more than the 0 bytes" in notes[0]


class Elsewhere:
    """A line to a machine that is not the one of the handles that it is sent."""

    def __init__(self, line):
        self.line, self.shared, self.known = line, 0, line.known

    def answer(self, verb, setting, places, *arrays):
        if places is not None:
            self.shared += 1
            places = replace(places, memory=replace(places.memory, machine="another"))
        return self.line.answer(verb, setting, places, *arrays)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.label)
def test_a_surrogate_elsewhere_is_sent_its_arrays_and_the_others_share(attack, crew, here):
    batch, notes, far = class_batch(images(5)), list[str](), Elsewhere(crew.lines[1])
    lines = [crew.lines[0], far, crew.lines[2]]
    remote = CrewOracle(crew, Arena(), lines, note=notes.append)
    assert_same(run(attack, batch, remote), run(attack, batch, here))
    assert far.shared == 1
    assert notes == [
        "arrays to and from surrogate m1 travel with the calls: the segment is on another machine"
    ]


def test_lanes_that_ask_at_the_same_time_do_not_disturb_each_other(crew, here):
    arena, found = Arena(), {}
    batches = [class_batch(images(5, seed=lane)) for lane in range(len(ATTACKS))]

    def lane(at):
        found[at] = run(ATTACKS[at], batches[at], CrewOracle(crew, arena))

    threads = [threading.Thread(target=lane, args=(at,)) for at in range(len(ATTACKS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at, attack in enumerate(ATTACKS):
        assert_same(found[at], run(attack, batches[at], here))


def test_many_steps_leave_nothing_behind(crew):
    def open_files():
        pids = [os.getpid(), *(line.process.pid for line in crew.lines)]
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]

    arena, batch = Arena(), class_batch(images(5))
    remote = CrewOracle(crew, arena)
    run(Attack(base="mi", combine="rgea", steps=5), batch, remote)
    before, size = open_files(), arena.size
    run(Attack(base="mi", combine="rgea", steps=100), batch, remote)
    assert arena.size == size
    assert open_files() == before


def test_what_fails_at_a_surrogate_is_raised_here_and_its_memory_is_not_used_again(crew, here):
    arena, batch = Arena(), class_batch(images(5))
    remote = CrewOracle(crew, arena)
    attack = ATTACKS[0]
    run(attack, batch, remote)
    wrong = replace(batch, labels=torch.full((5,), 7))
    with pytest.raises(ValueError, match="has class"):
        run(attack, wrong, remote)
    assert_same(run(attack, batch, remote), run(attack, batch, here))


def test_a_surrogate_killed_in_the_middle_of_a_call_is_recovered_from():
    crew = Crew([partial(sleeper, 400, seed) for seed in (0, 1)])
    try:
        arena, batch = Arena(), class_batch(images(3).float())
        attack = Attack(base="mi", combine="rgea", steps=2)
        expected = run(attack, batch, CrewOracle(crew, arena))
        killer = threading.Timer(0.2, crew.lines[1].kill)
        killer.start()
        with pytest.raises(ConnectionError, match="ended"):
            run(attack, batch, CrewOracle(crew, arena))
        killer.join()
        crew.restart(1)
        assert_same(run(attack, batch, CrewOracle(crew, arena)), expected)
        arena.close()
        del arena
        gc.collect()
        maps = Path("/proc/self/maps").read_text()
        assert "memfd:gauntlet" not in maps
    finally:
        crew.close()
