"""Turns: a few actors at a time, the slowest first; nothing is lost on an error."""

import time
from concurrent.futures import Future

import pytest

from gauntlet.actors.devices import Devices
from gauntlet.actors.placement import lay_out
from gauntlet.actors.turns import Turns
from tests.toys.runs import plan


class Reference:
    def __init__(self, future):
        self._future = future

    def future(self):
        return self._future


class Calls:
    """Calls in the order in which they were sent; answered by hand."""

    def __init__(self, limit):
        self.turns, self.sent = Turns(limit), {}

    def ask(self, name, actor=None):
        def send():
            self.sent[name] = Future()
            return Reference(self.sent[name])

        return self.turns.ask(actor or name, send)


def test_no_more_calls_than_the_limit_are_out():
    calls = Calls(2)
    answers = [calls.ask(name) for name in "abcd"]
    assert list(calls.sent) == ["a", "b"]
    calls.sent["b"].set_result(7)
    assert answers[1].result(0) == 7
    assert list(calls.sent) == ["a", "b", "c"]


def test_an_idle_actor_goes_before_another_ones_second_call():
    calls = Calls(2)
    for name, actor in (("first", "x"), ("short", "y"), ("idle", "z"), ("second", "x")):
        calls.ask(name, actor=actor)
    assert list(calls.sent) == ["first", "short"]
    calls.sent["short"].set_result(None)
    assert list(calls.sent) == ["first", "short", "idle", "second"]


def test_an_actor_has_its_next_call_while_it_works_where_nobody_else_waits_but_no_third():
    calls = Calls(1)
    for name in ("first", "second", "third"):
        calls.ask(name, actor="x")
    calls.ask("other", actor="y")
    assert list(calls.sent) == ["first", "second"]
    calls.sent["first"].set_result(None)
    assert list(calls.sent) == ["first", "second"]
    calls.sent["second"].set_result(None)
    assert list(calls.sent) == ["first", "second", "third"]


def test_the_slowest_actor_goes_first():
    calls = Calls(1)
    for name, seconds in (("quick", 0.0), ("slow", 0.05)):
        calls.ask(f"{name} before", actor=name)
        time.sleep(seconds)
        calls.sent[f"{name} before"].set_result(None)
    calls.ask("running", actor="another")
    calls.ask("quick", actor="quick")
    calls.ask("slow", actor="slow")
    calls.sent["running"].set_result(None)
    assert list(calls.sent)[-1] == "slow"


def test_errors_reach_who_asked_and_free_the_core():
    calls = Calls(1)
    dead, living = calls.ask("a"), calls.ask("b")
    calls.sent["a"].set_exception(ConnectionError("gone"))
    with pytest.raises(ConnectionError, match="gone"):
        dead.result(0)
    calls.sent["b"].set_result(1)
    assert living.result(0) == 1

    def broken():
        raise TypeError("cannot be sent")

    with pytest.raises(TypeError, match="cannot be sent"):
        calls.turns.ask("c", broken).result(0)
    assert not calls.ask("d").done()
    assert "d" in calls.sent


def test_without_a_limit_calls_queue_at_the_actors():
    calls = Calls(None)
    for name in "abc":
        calls.ask(name, actor="x")
    assert list(calls.sent) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("devices", "threads", "calls"),
    [
        (Devices(cpus=1, gpus=0, memory=2**34), 1, 1),
        (Devices(cpus=2, gpus=0, memory=2**34), 2, 1),
        (Devices(cpus=2, gpus=0, memory=2**34), 1, None),
        (Devices(cpus=1, gpus=2, memory=2**34), 1, None),
    ],
)
def test_only_surrogates_short_of_cores_take_turns(tmp_path, devices, threads, calls):
    job = plan(tmp_path, resources={"batch": 8, "threads": threads})
    assert len(job.surrogates) == 2
    assert lay_out(job, devices, "pinned", "").calls == calls
    assert lay_out(job, devices, "packed", "").calls is None
