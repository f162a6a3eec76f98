"""Who submits to what is no cluster is told so, in one line and within seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

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
