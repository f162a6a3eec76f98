"""Whoever ends is heard of at once, with its name; nobody is when the watch has stopped."""

import socket
import subprocess
import sys
import threading

import pytest

from gauntlet.actors import vital
from gauntlet.actors.vital import Contact, Watch

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


def test_a_cluster_that_answers_no_more_is_said_and_given_up(monkeypatch):
    monkeypatch.setattr(vital, "EVERY", 0.01)
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "0.4")
    told, silent, back, lost = [], threading.Event(), threading.Event(), threading.Event()

    def note(text):
        told.append(text)
        (back if text.endswith("again") else silent).set()

    def gone(cause):
        told.append(cause)
        lost.set()

    server = socket.create_server(("127.0.0.1", 0))
    place = server.getsockname()
    monkeypatch.setattr(vital, "SHARE", 1e6)
    patient = Contact(f"127.0.0.1:{place[1]}", note, gone)
    server.close()
    assert silent.wait(60)
    server = socket.create_server(place)
    assert back.wait(60)
    patient.stop()
    monkeypatch.setattr(vital, "SHARE", 0.75)
    contact = Contact(f"127.0.0.1:{place[1]}", note, gone)
    server.close()
    assert lost.wait(60)
    contact.stop()
    cluster = f"the cluster at 127.0.0.1:{place[1]}"
    assert told == [
        f"{cluster} does not answer: it is waited for 400000 s",
        f"{cluster} answers again",
        f"{cluster} does not answer: it is waited for 0.3 s",
        f"{cluster} is gone",
    ]
