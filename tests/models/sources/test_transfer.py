"""Downloads from a server on this machine: cut short, gone on with, checked, refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gauntlet.pipeline.models.sources.transfer import download
from tests.toys.server import Files, served

CONTENT = bytes(range(256)) * 64
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def files() -> Iterator[Files]:
    with served() as found:
        found.content["/net.pth"] = CONTENT
        yield found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "net.pth"


def left(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir())


def test_a_file_is_put_in_its_place_once_it_is_whole(files: Files, place: Path) -> None:
    download(f"{files.address}/net.pth", place, SHA[:12])
    assert place.read_bytes() == CONTENT
    assert left(place) == ["net.pth"]
    download(f"{files.address}/net.pth", place)
    assert files.ranges == [None]


def test_a_download_that_was_cut_short_goes_on_where_it_ended(files: Files, place: Path) -> None:
    files.cut = 5000
    with pytest.raises(OSError, match="ended after 5,000 of 16,384 bytes"):
        download(f"{files.address}/net.pth", place, SHA)
    assert left(place) == ["net.pth.part", "net.pth.part.tag"]
    files.cut = None
    download(f"{files.address}/net.pth", place, SHA)
    assert files.ranges == [None, "bytes=5000-"]
    assert place.read_bytes() == CONTENT
    assert left(place) == ["net.pth"]


def test_another_file_at_the_address_is_taken_from_its_beginning(files: Files, place: Path) -> None:
    files.cut = 5000
    with pytest.raises(OSError, match="ended after"):
        download(f"{files.address}/net.pth", place)
    files.cut, files.content["/net.pth"] = None, CONTENT[::-1]
    download(f"{files.address}/net.pth", place)
    assert place.read_bytes() == CONTENT[::-1]


def test_what_came_whole_but_was_not_put_in_its_place_is(files: Files, place: Path) -> None:
    download(f"{files.address}/net.pth", place)
    place.rename(place.with_name("net.pth.part"))
    place.with_name("net.pth.part.tag").write_text(f'"{SHA[:8]}"')
    download(f"{files.address}/net.pth", place, SHA)
    assert place.read_bytes() == CONTENT
    assert files.ranges[-1] == f"bytes={len(CONTENT)}-"


def test_what_is_not_wanted_is_deleted(files: Files, place: Path) -> None:
    def refuse(part: Path) -> None:
        raise ValueError("a web page")

    address = f"{files.address}/net.pth"
    with pytest.raises(ValueError, match="SHA-256 does not begin with 0123: "):
        download(address, place, "0123")
    with pytest.raises(ValueError, match="a web page"):
        download(address, place, SHA, refuse)
    with pytest.raises(ValueError, match="16,384 bytes, more than 1,000"):
        download(address, place, most=1000)
    assert left(place) == []


def test_the_checksum_that_a_server_states_is_compared(files: Files, place: Path) -> None:
    files.links = {"/good": ("/net.pth", SHA), "/bad": ("/net.pth", "0" * 64)}
    with pytest.raises(ValueError, match="does not begin with 0000"):
        download(f"{files.address}/bad", place)
    download(f"{files.address}/good", place)
    assert place.read_bytes() == CONTENT


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://host/net.pth", "net.pth"])
def test_only_http_is_an_address(address: str, place: Path) -> None:
    with pytest.raises(ValueError, match="expected an address of http or https"):
        download(address, place)


def test_what_is_not_there_is_an_error(files: Files, place: Path) -> None:
    with pytest.raises(OSError, match="404"):
        download(f"{files.address}/other.pth", place)
    assert not place.exists()
