"""Surrogates in plain processes: the exchange of a pinned run, without Ray."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import nn

from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.oracle.desk import Desk, Verb
from gauntlet.pipeline.oracle.places import Places
from gauntlet.pipeline.oracle.remote import Line, RemoteOracle
from gauntlet.pipeline.oracle.responder import Responder

Maker = Callable[[], nn.Module]
"""Makes a network, in the process that has it."""


class Crew:
    """A process a surrogate, each answering two questions at a time.

    Args:
        makers: of the networks; they are sent to the processes.
        device: where the networks are.
    """

    def __init__(self, makers: Sequence[Maker], device: str = "cpu") -> None:
        # Forked from a server that has loaded torch, but never used a GPU.
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["bench.crew"])
        self._context, self._makers, self._device = context, makers, device
        self.names = [f"m{at}" for at in range(len(makers))]
        self.lines = [self._start(at) for at in range(len(makers))]

    def restart(self, at: int) -> None:
        """Start the process of a surrogate that has died again."""
        self.lines[at].close()
        self.lines[at] = self._start(at)

    def close(self) -> None:
        """End the processes."""
        for line in self.lines:
            line.close()

    def _start(self, at: int) -> ProcessLine:
        return ProcessLine(self._context, self.names[at], self._makers[at], self._device)


class ProcessLine:
    """The way to one process, over a pipe."""

    def __init__(self, context: Any, name: str, maker: Maker, device: str) -> None:
        self._connection, theirs = context.Pipe()
        arguments = (theirs, name, maker, device)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()
        self._numbers, self._lock = itertools.count(), threading.Lock()
        self._waiting: dict[int, Future[Any]] = {}
        self._told: set[str] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def answer(
        self, verb: Verb, setting: PackedSetting, places: Places | None, *arrays: Any
    ) -> Future[Any]:
        """Have the desk answer."""
        return self._ask("answer", setting, verb, places, arrays)

    def known(self, setting: PackedSetting) -> Future[Any]:
        """Have the desk tell what is known of the batch."""
        return self._ask("known", setting, None, None, ())

    def kill(self) -> None:
        """End the process as nothing else could."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self._reader.join()
        self._connection.close()

    def _ask(self, what: str, setting: PackedSetting, *rest: Any) -> Future[Any]:
        key, batch, circumstances = setting
        call, number = Future[Any](), next(self._numbers)
        with self._lock:
            told = key in self._told
            self._told.add(key)
            message = (number, what, key, None if told else batch, circumstances, *rest)
            self._waiting[number] = call
            try:
                self._connection.send(message)
            except OSError as error:
                del self._waiting[number]
                call.set_exception(ConnectionError(f"the process has ended: {error}"))
        return call

    def _read(self) -> None:
        while True:
            try:
                number, error, answer = self._connection.recv()
            except (EOFError, OSError):
                break
            call = self._waiting.pop(number)
            if error is None:
                call.set_result(answer)
            else:
                call.set_exception(error)
        with self._lock:
            while self._waiting:
                _, call = self._waiting.popitem()
                call.set_exception(ConnectionError("the process has ended"))


PackedSetting = tuple[str, bytes, Setting]
"""A batch's key, the batch, and the setting without it."""


class CrewOracle(RemoteOracle):
    """The oracle whose surrogates are a crew."""

    def __init__(
        self, crew: Crew, arena: Arena, lines: Sequence[Line] | None = None, **options: Any
    ) -> None:
        super().__init__(crew.names, lines or crew.lines, arena, **options)
        self._sent: dict[int, tuple[Batch, str, bytes]] = {}

    def _packed(self, setting: Setting) -> PackedSetting:
        batch = setting.batch
        if id(batch) not in self._sent:
            # As bytes: a pipe would move a tensor's memory from under arrays on it.
            packed = pickle.dumps(batch.to("cpu"))
            self._sent[id(batch)] = (batch, uuid.uuid4().hex, packed)
        _, key, packed = self._sent[id(batch)]
        return key, packed, replace(setting, batch=None)  # type: ignore[arg-type]


def _serve(connection: Connection, name: str, maker: Maker, device: str) -> None:
    torch.set_num_threads(1)
    model = adapt(maker(), name=name).to(device)
    desk, batches = Desk(Responder(model), device), dict[str, Batch]()
    sending = threading.Lock()

    def answer(number: int, what: str, setting: Setting, *asked: Any) -> None:
        try:
            verb, places, arrays = asked
            found = (
                desk.known(setting)
                if what == "known"
                else desk.answer(verb, setting, places, *arrays)
            )
            reply: tuple[int, Exception | None, Any] = (number, None, found)
        except Exception as error:
            reply = (number, error, None)
        with sending:
            connection.send(reply)

    with ThreadPoolExecutor(2) as threads:
        while True:
            try:
                number, what, key, batch, setting, *asked = connection.recv()
            except EOFError:
                return
            if batch is not None:
                batches[key] = pickle.loads(batch).to(device)
            whole = replace(setting, batch=batches[key])
            threads.submit(answer, number, what, whole, *asked)
