"""Who submits to what is no cluster is told so, in one line and within seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

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
