"""Damaged and hostile .npz archives: one precise problem, no traceback, no huge allocation."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gauntlet.pipeline.data.archive import array, headers
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.problems import BadInput


def told(path: Path) -> str:
    found = Found()
    assert headers(path, "data.path", found) is None
    return " ".join(str(problem) for problem in found.in_order)


def test_whatever_bit_is_wrong_the_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    pixels = np.arange(3 * 32 * 32 * 3, dtype=np.uint8).reshape(3, 32, 32, 3)
    np.savez_compressed(path, images=pixels)
    sound = path.read_bytes()
    refused: list[str] = []
    for position in range(0, len(sound), 3):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 4]) + sound[position + 1 :])
        found = Found()
        if headers(path, "data.path", found) is None:
            refused += map(str, found.in_order)
            continue
        try:
            array(path, "images")
        except BadInput as error:
            refused.append(str(error))
    assert len(refused) > 20
    ours = ("set.npz is not a whole .npz archive", "array 'images' cannot be read")
    assert all(any(words in message for words in ours) for message in refused)


def test_a_header_that_promises_more_than_there_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    shape = (10**9, 224, 224, 3)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"few")
    assert "promises 150,528,000,000,000 bytes of values, the archive has 3" in told(path)


def test_a_member_without_suffix_is_not_taken_for_the_array(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=np.ones((1, 2, 2, 3), np.uint8))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images", b"no array, and no header that was looked at")
    assert array(path, "images").shape == (1, 2, 2, 3)


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.npz"
    np.savez(path, images=np.zeros((1, 2, 2, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the local header's flag
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the directory's
    path.write_bytes(bytes(content))
    assert "encrypted" in told(path)


def test_a_sound_archive_has_its_headers(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, images=np.zeros((2, 4, 4, 3), np.uint8), labels=np.zeros(2, np.int64))
    found = Found()
    known = headers(path, "data.path", found)
    assert known is not None
    assert (known["images"].shape, known["labels"].shape) == ((2, 4, 4, 3), (2,))
    with pytest.raises(BadInput, match="'none' cannot be read"):
        array(path, "none")
