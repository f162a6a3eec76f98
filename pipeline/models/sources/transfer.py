"""Getting a file over HTTP: whole, checked and at once in its place, or not at all.

What has arrived stays beside the place as ``NAME.part``, and the next try goes on from there.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

SECONDS = 10.0
"""Longest wait for a server's first answer, and between two parts of a file."""
MOST = 20 << 30
"""Bytes of a file; more is no network's weights."""
_BLOCK = 1 << 20
_ANSWERS_WITH_A_PART = 206
_NOTHING_LEFT = 416


def download(
    url: str,
    path: Path,
    sha256: str = "",
    check: Callable[[Path], object] = lambda _: None,
    most: int = MOST,
) -> None:
    """Download to a place; processes that want the same file wait for the first.

    Args:
        url: of HTTP or HTTPS.
        path: where the file shall be; its folder is made.
        sha256: how its SHA-256 begins, in hexadecimal; "" where nobody has said. Then it is what
            the server states, as Hugging Face's does.
        check: raises for content that is not what is wanted, before anybody sees it in its place.
        most: bytes that are taken at most.

    Raises:
        OSError: when the server cannot be reached, answers with an error, or stops in the middle.
        ValueError: when the address is none of HTTP, the file is too large, or not the one whose
            SHA-256 was given; what has come is then deleted.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"expected an address of http or https, got {url!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part, tag = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.tag")
    with _held(part) as file:
        if path.is_file():  # another process was quicker
            part.unlink()
            return
        try:
            stated = _receive(url, file, tag, most)
            file.flush()
            _compare(part, sha256 or stated)
            check(part)
        except OSError:
            if file.seek(0, 2) == 0:
                part.unlink()
            raise
        except http.client.HTTPException as error:
            raise OSError(f"the connection ended: {error!r}") from None
        except Exception:
            part.unlink(missing_ok=True)
            tag.unlink(missing_ok=True)
            raise
        part.replace(path)
        tag.unlink(missing_ok=True)


def _held(part: Path) -> IO[bytes]:
    """Return an open file that no other process has, once it is the one of that name."""
    while True:
        file = part.open("a+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        # Whoever had it may have renamed or deleted it.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return file
        file.close()


class _Linked(urllib.request.HTTPRedirectHandler):
    """Follows a link to a store and keeps the SHA-256 that stands beside it."""

    sha256 = ""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Return the request that follows the link, with the same headers."""
        tag = str(headers.get("X-Linked-ETag") or "").strip('"')
        if re.fullmatch("[0-9a-f]{64}", tag):
            self.sha256 = tag
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(url: str, file: IO[bytes], tag: Path, most: int) -> str:
    """Append what is left of a file, or all of it where the server has another one by now.

    Returns:
        The SHA-256 that the server states, or "".
    """
    have = file.seek(0, 2)
    request = urllib.request.Request(url, headers={"User-Agent": "gauntlet"})
    # A part of which nobody knows which file it is of is no beginning.
    known = tag.read_text().strip() if tag.is_file() else ""
    if have and known:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", known)
    linked = _Linked()
    try:
        answer = urllib.request.build_opener(linked).open(request, timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != _NOTHING_LEFT:
            raise
        tag.unlink(missing_ok=True)
        return linked.sha256
    with answer:
        if answer.status != _ANSWERS_WITH_A_PART or not _goes_on(answer, have):
            have = 0
            file.truncate(0)
        tag.write_text(_validator(answer))
        length = answer.headers.get("Content-Length")
        whole = have + int(length) if length and length.isdigit() else None
        if whole is not None and whole > most:
            raise ValueError(f"{whole:,} bytes, more than {most:,}")
        while block := answer.read(_BLOCK):
            have += len(block)
            if have > most:
                raise ValueError(f"more than {most:,} bytes")
            file.write(block)
    if whole is not None and have < whole:
        raise OSError(
            f"the connection ended after {have:,} of {whole:,} bytes; again goes on there"
        )
    return linked.sha256


def _goes_on(answer: Any, have: int) -> bool:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == have


def _validator(answer: Any) -> str:
    """Return what tells this content of the address from a later one; weak tags do not."""
    tag = str(answer.headers.get("ETag") or "")
    return tag if tag.startswith('"') else str(answer.headers.get("Last-Modified") or "")


def _compare(part: Path, sha256: str) -> None:
    if not sha256:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256.lower()):
        raise ValueError(f"the download's SHA-256 does not begin with {sha256}: {found[:16]}...")
