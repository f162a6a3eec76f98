"""A small HTTP server of files on this machine that can be cut short."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """What is served, and what was asked for.

    Attributes:
        content: file by path, such as ``/net.pth``.
        links: where a path leads to, and the SHA-256 that is stated beside it.
        cut: bytes of a file after which the connection ends.
        ranges: the `Range` of every request for a file, in order.
        address: of the server.
    """

    content: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    cut: int | None = None
    ranges: list[str | None] = field(default_factory=list)
    address: str = ""


@contextmanager
def served() -> Iterator[Files]:
    """Serve files while the context lasts."""
    files = Files()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(True)

        def do_HEAD(self) -> None:
            self._answer(False)

        def _answer(self, body: bool) -> None:
            if self.path in files.links:
                path, sha256 = files.links[self.path]
                self.send_response(302)
                self.send_header("Location", path)
                self.send_header("X-Linked-ETag", f'"{sha256}"')
                self.end_headers()
                return
            whole = files.content.get(self.path)
            if whole is None:
                self.send_error(404)
                return
            tag = f'"{hashlib.sha256(whole).hexdigest()[:8]}"'
            asked = self.headers.get("Range")
            first = 0
            if asked and self.headers.get("If-Range") in (None, tag):
                first = int(re.findall(r"\d+", asked)[0])
            if body:
                files.ranges.append(asked)
            if first >= len(whole) > 0:
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
            self.send_header("Content-Length", str(len(whole) - first))
            self.send_header("ETag", tag)
            self.end_headers()
            if body:
                self.wfile.write(whole[first : files.cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    files.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
