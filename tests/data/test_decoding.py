from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Fit, Undecodable, decode
from tests.toys.datasets import opened, write_image


def _bomb(path: Path, width: int, height: int) -> None:
    """Write a PNG whose header promises width x height pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA"])
def test_other_colour_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = write_image(tmp_path / "a.png", 6, 7, mode)
    image = decode(path, Fit())
    assert image.shape == (6, 7, 3)
    if mode in ("L", "LA", "1"):
        assert (image[..., :1] == image).all()


def test_eight_bits_survive_unchanged(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(decode(tmp_path / "a.png", Fit()), pixels)


def test_bad_files_are_rejected_with_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "set" / "a"
    whole = write_image(root / "0-good.png", 40, 50)
    jpeg = write_image(root / "1-truncated.jpg", 40, 50)
    jpeg.write_bytes(jpeg.read_bytes()[:700])
    png = root / "2-truncated.png"
    png.write_bytes(whole.read_bytes()[:700])
    (root / "3-page.png").write_text("<html>sign in</html>")
    (root / "4-empty.jpg").write_bytes(b"")
    _bomb(root / "5-bomb.png", 8192, 8193)
    _bomb(root / "6-bigger-bomb.png", 60000, 60000)
    write_image(root / "7-other-size.png", 40, 51)
    Image.fromarray(np.zeros((40, 50), np.uint16)).save(root / "8-deep.png")
    (root / "9-vector.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    examples = opened(tmp_path, Goal.UNTARGETED, source="folder", root="set")
    loaded = examples.load(range(len(examples)))
    assert loaded.batch is not None
    assert loaded.batch.ids == ("a/0-good.png",)
    reasons = {item.id: item.reason for item in loaded.rejected}
    for name, reason in {
        "a/1-truncated.jpg": "broken or truncated image",
        "a/2-truncated.png": "broken or truncated image",
        "a/3-page.png": "not an image in a known format",
        "a/4-empty.jpg": "not an image in a known format",
        "a/5-bomb.png": "more than the limit of 64 Mpx",
        "a/6-bigger-bomb.png": "exceeds limit",
        "a/7-other-size.png": "expected 40 x 50",
        "a/8-deep.png": "8 bits a channel",
        "a/9-vector.png": "not an image in a known format",
    }.items():
        assert reason in reasons.pop(name)
    assert not reasons


def test_a_batch_of_bad_files_only(tmp_path: Path) -> None:
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.png").write_text("nothing")
    loaded = opened(tmp_path, Goal.UNTARGETED, source="folder", root="set").load([0])
    assert loaded.batch is None
    assert [item.id for item in loaded.rejected] == ["a/1.png"]


def test_a_file_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="no such file"):
        decode(tmp_path / "none.png", Fit())


def test_central_crop(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", 10, 12)
    whole = decode(path, Fit())
    assert np.array_equal(decode(path, Fit(crop=(4, 6))), whole[3:7, 3:9])
    with pytest.raises(Undecodable, match="smaller than the crop of 11 x 11"):
        decode(path, Fit(crop=(11, 11)))


def test_elongated_images_do_not_explode_when_resized(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", 1, 60000)
    with pytest.raises(Undecodable, match="too elongated"):
        decode(path, Fit(shorter=256))
