"""Questions between processes of a machine: answered, or said not to be."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from gauntlet.pipeline.exchange.segment import SWITCH
from gauntlet.pipeline.exchange.sockets import Address, Caller, Disconnected, Listener

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux has such sockets")


def address(listener: Listener) -> Address:
    assert listener.address is not None
    return listener.address


def shout(question: bytes) -> bytes:
    return question.upper()


def test_questions_are_answered_in_whatever_order_their_answers_are_fetched() -> None:
    caller = Caller(address(Listener(shout)))
    for _ in range(3):
        asked = [caller.ask(name) for name in (b"one", b"two", b"three")]
        assert [one.result() for one in reversed(asked)] == [b"THREE", b"TWO", b"ONE"]


def test_several_questions_are_answered_at_a_time() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def answer(question: bytes) -> bytes:
        meeting.wait()
        return question

    caller = Caller(address(Listener(answer)))
    asked = [caller.ask(b"one"), caller.ask(b"two")]
    assert [one.result() for one in asked] == [b"one", b"two"]


def test_an_answer_that_fails_is_said_to_fail_and_the_next_one_comes() -> None:
    def answer(question: bytes) -> bytes:
        if question == b"bad":
            raise ValueError("no answer")
        return question

    caller = Caller(address(Listener(answer)))
    bad = caller.ask(b"bad")
    with pytest.raises(Disconnected, match="could not answer"):
        bad.result()
    assert caller.ask(b"good").result() == b"good"


def test_an_answer_that_nobody_fetched_is_never_another_questions() -> None:
    caller = Caller(address(Listener(shout)))
    caller.ask(b"forgotten")
    assert caller.ask(b"asked").result() == b"ASKED"


LISTENING = """
import os, time
from gauntlet.pipeline.exchange.sockets import Listener
listener = Listener(lambda question: os._exit(1) if question == b"die" else time.sleep(60) or b"")
print(listener.address.name, flush=True)
time.sleep(60)
"""


def test_a_process_that_ends_leaves_nobody_waiting() -> None:
    command = [sys.executable, "-c", LISTENING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        here = address(Listener(shout)).machine
        caller = Caller(Address(here, process.stdout.readline().strip()))
        waiting = caller.ask(b"wait")
        with pytest.raises(Disconnected, match="has ended"):
            caller.ask(b"die").result()
        with pytest.raises(Disconnected, match="has ended"):
            waiting.result()
        with pytest.raises(OSError):
            caller.ask(b"more").result()


def test_nobody_listens_once_it_is_closed() -> None:
    listener = Listener(shout)
    place = address(listener)
    listener.close()
    with pytest.raises(OSError):
        Caller(place).ask(b"one").result()


def test_another_machine_is_not_asked() -> None:
    with pytest.raises(Disconnected, match="another machine"):
        Caller(Address("elsewhere", address(Listener(shout)).name))


def test_without_shared_memory_there_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    assert Listener(shout).address is None


STRANGER = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as stranger:
    stranger.settimeout(30)
    stranger.connect(chr(0) + sys.argv[1])
    try:
        stranger.sendall(bytes([0, 0, 0, 1]) + b"x")
        print(stranger.recv(1))
    except ConnectionError:
        print(b"")
"""


@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0, reason="only root can become another user"
)
def test_another_user_is_hung_up_on() -> None:
    listener = Listener(shout)
    command = [sys.executable, "-c", STRANGER, address(listener).name]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "b''"
    assert Caller(address(listener)).ask(b"mine").result() == b"MINE"
