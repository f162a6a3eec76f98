"""Whoever ends is heard of at once, with its name; nobody is when the watch has stopped."""

import subprocess
import sys
import threading

import pytest

from gauntlet.actors.vital import Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="file descriptors of processes")


@pytest.fixture
def two():
    found = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    yield found
    for process in found:
        process.kill()
        process.wait()


def test_the_first_that_ends_is_named(two):
    told, heard = [], threading.Event()

    def gone(name):
        told.append(name)
        heard.set()

    watch = Watch({"one": two[0].pid, "other": two[1].pid}, gone)
    two[1].kill()
    assert heard.wait(60)
    watch.stop()
    assert told == ["other"]


def test_who_has_ended_before_counts(two):
    two[0].kill()  # nobody has asked for its status yet
    heard = threading.Event()
    watch = Watch({"one": two[0].pid}, lambda name: heard.set())
    assert heard.wait(60)
    watch.stop()


def test_who_is_gone_altogether_counts(two):
    two[0].kill()
    two[0].wait()
    told, heard = [], threading.Event()

    def gone(name):
        told.append(name)
        heard.set()

    watch = Watch({"other": two[1].pid, "one": two[0].pid}, gone)
    assert heard.wait(60)
    watch.stop()
    assert told == ["one"]


def test_nothing_is_heard_after_the_stop(two):
    told: list[str] = []
    watch = Watch({"one": two[0].pid}, told.append)
    watch.stop()
    two[0].kill()
    two[0].wait()
    assert told == []
