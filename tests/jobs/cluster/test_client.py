"""Who submits to what is no cluster is told so, in one line and within seconds."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.cluster import client
from gauntlet.jobs.cluster.client import Client
from gauntlet.pipeline.problems import BadInput
from tests.actors.test_sessions import free_port


def refusal(address: str) -> str:
    with pytest.raises(BadInput) as caught:
        Client(address)
    (problem,) = caught.value.problems
    assert "\n" not in str(problem)
    return str(problem)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert "pip install 'gauntlet[cluster]'" in refusal("http://127.0.0.1:8265")


@pytest.fixture
def extra() -> None:
    pytest.importorskip("aiohttp", reason="needs gauntlet[cluster]")


@pytest.mark.parametrize("address", ["ftp://head", "http://", "http://head:port"])
def test_an_address_that_is_none_is_told_what_one_looks_like(address: str) -> None:
    assert "expected the URL of a Ray dashboard, http://HOST:8265" in refusal(address)


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("scheme", ["", "http://"])
def test_nobody_answers(scheme: str) -> None:
    port = free_port()
    found = refusal(f"{scheme}127.0.0.1:{port}")
    assert f"nothing answers at http://127.0.0.1:{port} within 5 s" in found


class Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>hello</html>")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.usefixtures("extra")
def test_somebody_else_answers(stranger: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://192.0.2.1:1")  # not taken instead
    assert "takes no Ray jobs" in refusal(f"http://127.0.0.1:{stranger}")


@pytest.mark.usefixtures("extra")
def test_what_accepts_and_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # the kernel takes the connections
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert "takes no Ray jobs: no answer within 0.2 s" in refusal(address)


class Hub:
    """A dashboard with one job, whose log dies at its first asking, and that may fall silent.

    Attributes:
        deaf: the beginnings of paths that are not answered any more.
        refusal: the status of every answer about a job, while it is not 0.
    """

    def __init__(self) -> None:
        self.deaf: tuple[str, ...] = ()
        self.refusal = 0
        self._logs, self._over = 0, threading.Event()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.address = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    async def _start(self) -> str:
        from aiohttp import web

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=0.1).start()
        return "http://{}:{}".format(*self._runner.addresses[0][:2])

    async def _answer(self, request: Any) -> Any:
        from aiohttp import web

        if request.path.startswith(self.deaf or "none"):
            await asyncio.sleep(3600)
        if request.path.endswith("/logs/tail"):
            return await self._log(request)
        if request.path == "/api/version":
            return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": ""})
        if request.method == "POST":
            return web.json_response({"submission_id": "job", "job_id": "job"})
        if request.path.startswith("/api/packages/"):
            return web.json_response({})
        if self.refusal:
            return web.Response(status=self.refusal, text="of the job")
        over = self._over.is_set()
        said = {
            "status": "SUCCEEDED" if over else "RUNNING",
            "driver_exit_code": 0 if over else None,
        }
        return web.json_response({"type": "SUBMISSION", "entrypoint": "", **said})

    async def _log(self, request: Any) -> Any:
        from aiohttp import web

        log = web.WebSocketResponse()
        await log.prepare(request)
        await log.send_str("one\n")
        self._logs += 1
        if self._logs == 1:
            await asyncio.sleep(3600)
        await log.send_str("two\n")
        self._over.set()
        return log

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture
def hub(extra: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(client, "AGAIN", 0.0)
    monkeypatch.setattr(client, "ANSWER", 0.5)
    monkeypatch.setattr(client, "QUIET", 0.5)
    found = Hub()
    yield found
    found.close()


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})


def test_a_log_that_dies_without_a_word_is_asked_for_anew(hub: Hub) -> None:
    found = gauntlet("attach", "job", "--address", hub.address)
    assert (found.exit_code, found.stdout) == (0, "one\ntwo\n")


def test_a_dashboard_that_falls_silent_is_lost_sight_of(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub.deaf = ("/api/jobs/",)
    found = gauntlet("attach", "job", "--address", hub.address)
    assert found.exit_code == 3
    lost = "lost sight of the job (no answer within 0.5 s); see it again with: gauntlet attach job"
    (line,) = found.stderr.splitlines()
    assert line.startswith(lost)
    found = gauntlet("submit", "quickstart", "--address", hub.address, "--out", "/tmp/x")
    assert found.exit_code == 3
    (line,) = found.stderr.splitlines()
    silent = f"{hub.address}: no answer within 0.5 s; if it took the job, see: gauntlet attach "
    assert line.startswith(f"{silent}raysubmit_")


def test_only_a_job_that_is_not_found_is_unknown(hub: Hub) -> None:
    hub.refusal = 503
    found = gauntlet("attach", "job", "--address", hub.address)
    assert found.exit_code == 3
    assert "lost sight of the job (Request failed with status code 503" in found.stderr
    assert f"see it again with: gauntlet attach job --address {hub.address}" in found.stderr
    hub.refusal = 404
    found = gauntlet("attach", "job", "--address", hub.address)
    assert found.exit_code == 2
    assert "no job job at" in found.stderr


class Broken:
    """Jobs whose log breaks off twice, in the middle of a text."""

    def __init__(self) -> None:
        self.left = [4, 9, 100]

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        aiohttp = pytest.importorskip("aiohttp", reason="needs gauntlet[cluster]")
        most = self.left.pop(0)
        for text in ("one\n", "two\n", "three\n"):
            if (most := most - len(text)) < 0:
                raise aiohttp.ServerDisconnectedError
            yield text

    def get_job_info(self, job: str) -> Any:
        status = SimpleNamespace(is_terminal=lambda: not self.left, value="SUCCEEDED")
        return SimpleNamespace(status=status, driver_exit_code=0)


def test_a_log_that_breaks_off_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp", reason="needs gauntlet[cluster]")
    monkeypatch.setattr(client, "AGAIN", 0.0)
    said: list[str] = []
    following = Client.__new__(Client)
    following._jobs = Broken()
    assert following.follow("job", said.append) == 0
    assert "".join(said) == "one\ntwo\nthree\n"
