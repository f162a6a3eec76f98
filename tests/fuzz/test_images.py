"""Image files of every mode and format, and every damage: pixels, or why there are none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gauntlet.pipeline.data.decoding import Fit, Undecodable, decode, header_of
from tests.fuzz.inputs import edited, edits, fuzzed, read

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F", "HSV", "LAB")
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "GIF", "TIFF", "WEBP", "ICO", "TGA", "PCX", "EPS", "PDF")
FITS = (
    Fit(),
    Fit(size=(8, 8)),
    Fit(shorter=10, crop=(8, 8)),
    Fit(expect=((6, 7), "the first")),
)


def saved(mode: str, kind: str, height: int, width: int) -> bytes:
    """Return an image file; empty where no such file can be."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    sink = io.BytesIO()
    try:
        (image.convert("L") if mode in ("I;16", "I", "F") else image).convert(mode).save(sink, kind)
    except (ValueError, OSError, KeyError, AttributeError):
        return b""
    return sink.getvalue()


@pytest.mark.parametrize("damage", ["none", "some"])
@fuzzed
@given(
    st.sampled_from(MODES),
    st.sampled_from(FORMATS),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(FITS),
    edits,
)
def test_any_image(
    tmp_path_factory: pytest.TempPathFactory,
    damage: str,
    mode: str,
    kind: str,
    height: int,
    width: int,
    fit: Fit,
    changes: list[tuple[str, int, int]],
) -> None:
    folder = tmp_path_factory.getbasetemp() / "images"
    folder.mkdir(exist_ok=True)
    path = folder / "image.png"
    content = saved(mode, kind, height, width)
    path.write_bytes(edited(content, changes) if damage == "some" else content)

    def pixels() -> None:
        header_of(path)
        found = decode(path, fit)
        assert found.dtype == np.uint8
        assert found.ndim == 3

    read("image" if damage == "none" else "image, damaged", folder, pixels, Undecodable)


SIZED = {
    "PNG": (b"IHDR", 4),
    "BMP": (b"BM", 18),
    "GIF": (b"GIF8", 6),
}


@pytest.mark.parametrize("kind", SIZED)
@fuzzed
@given(st.binary(min_size=8, max_size=8))
def test_any_size_in_a_header(
    tmp_path_factory: pytest.TempPathFactory, kind: str, size: bytes
) -> None:
    folder: Path = tmp_path_factory.getbasetemp() / "images"
    folder.mkdir(exist_ok=True)
    content = bytearray(saved("RGB", kind, 5, 5))
    mark, further = SIZED[kind]
    at = content.index(mark) + further
    content[at : at + 8] = size
    (folder / "image.png").write_bytes(content)
    path = folder / "image.png"
    read("image, another size", folder, lambda: decode(path, Fit()), Undecodable)
