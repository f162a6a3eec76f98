"""Short messages between processes of one machine, over sockets that no folder holds (Linux).

A question over a socket costs a tenth of a millisecond where a call of an actor costs several.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from gauntlet.pipeline.exchange.segment import SWITCH, machine


class Disconnected(ConnectionError):
    """The other process has ended, or has no answer to give on this way."""


@dataclass(frozen=True)
class Address:
    """Where a process listens.

    Attributes:
        machine: that it is on.
        name: of its socket; random, and gone with the process.
    """

    machine: str
    name: str


class Listener:
    """Answers other processes of this user on this machine, each of them in a thread of its own.

    Args:
        answer: makes an answer from a question; what it raises is not told: see `Asked.result`.

    Attributes:
        address: where others connect to; None where the system has no such sockets.
    """

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self.address: Address | None = None
        if os.environ.get(SWITCH) == "off" or not hasattr(socket, "SO_PEERCRED"):
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        name = f"gauntlet-{secrets.token_hex(16)}"
        self._socket.bind(f"\0{name}")
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        self.address = Address(machine(), name)

    def _accept(self) -> None:
        # When this ends, whatever ends it, nobody connects any more and waits for ever.
        with self._socket, contextlib.suppress(OSError):
            while True:
                found, _ = self._socket.accept()
                with found:
                    if _user(found) != os.getuid():
                        continue
                    given = (Connection(found.detach()),)
                threading.Thread(target=self._serve, args=given, daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        with connection, contextlib.suppress(EOFError, OSError):
            while True:
                asked = connection.recv_bytes()
                try:
                    answer = self._answer(asked)
                except Exception:
                    answer = b""
                connection.send_bytes(answer)

    def close(self) -> None:
        """Take no more connections."""
        if self.address is not None:
            self.address = None
            self._socket.shutdown(socket.SHUT_RDWR)


class Asked:
    """A question on its way."""

    def __init__(self, connection: Connection, free: list[Connection]) -> None:
        self._connection, self._free = connection, free

    def result(self) -> bytes:
        """Wait for the answer.

        Raises:
            Disconnected: when the process has ended, or could not answer.
        """
        try:
            answer = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise Disconnected("the process has ended") from error
        # A connection whose answer nobody fetches is never used again.
        self._free.append(self._connection)
        if not answer:
            raise Disconnected("the process could not answer")
        return answer


class Caller:
    """Asks a listener; safe to use from threads, each question on a connection that is free.

    Args:
        address: of the listener.

    Raises:
        OSError: when nobody listens there, or it is on another machine.
    """

    def __init__(self, address: Address) -> None:
        if address.machine != machine():
            raise Disconnected("the process is on another machine")
        self._address = address
        self._free: list[Connection] = [self._connect()]

    def ask(self, question: bytes) -> Asked:
        """Send a question.

        Raises:
            OSError: when the process has ended.
        """
        try:
            connection = self._free.pop()
        except IndexError:
            connection = self._connect()
        connection.send_bytes(question)
        return Asked(connection, self._free)

    def _connect(self) -> Connection:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as found:
            found.connect(f"\0{self._address.name}")
            if _user(found) != os.getuid():
                raise Disconnected("another user listens there")
            return Connection(found.detach())


def reached(address: Address | None) -> Caller | None:
    """Return a caller of an address; None where there is none, or nobody answers there."""
    try:
        return None if address is None else Caller(address)
    except OSError:
        return None


def _user(connected: socket.socket) -> int:
    """Return the id of the user at the other end."""
    form = "3i"
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(form))
    user: int = struct.unpack(form, credentials)[1]
    return user
