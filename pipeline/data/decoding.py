"""Decoding image files that may be anything: broken, huge, or no images at all."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]

MOST_PIXELS = 64 * 2**20
"""Larger images are refused from their header, before any pixel is decoded."""
# A closed list: Pillow would run Ghostscript on an EPS file.
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "GIF", "TIFF", "WEBP")
SUFFIXES = frozenset(
    {
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm"),
        *(".gif", ".tif", ".tiff", ".webp"),
    }
)
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})


class Undecodable(Exception):
    """One image that cannot be used; the message says why."""


@dataclass(frozen=True)
class Fit:
    """How a decoded image becomes a canonical one: the steps that are set, in this order.

    Attributes:
        shorter: resize so that the shorter side has this length.
        crop: cut out this central part, (height, width).
        size: resize to (height, width).
        expect: refuse any other (height, width), and the name of the image that set the example.
    """

    shorter: int | None = None
    crop: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    expect: tuple[tuple[int, int], str] | None = None

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of every image that fits; None where only reading tells."""
        return self.size or (self.expect and self.expect[0])


def decode(image_file: Path | bytes, fit: Fit, upright: bool = False) -> Pixels:
    """Return an image file as canonical RGB, uint8 (H, W, 3).

    Greyscale, palette and CMYK images become RGB; transparency is dropped; of an animation the
    first frame counts; an EXIF rotation is not applied (torchvision's loaders don't either).

    Args:
        image_file: the file, or its content.
        fit: how a decoded image becomes a canonical one.
        upright: apply the EXIF rotation, as cameras mean it.

    Raises:
        Undecodable: when it is no image, truncated, not 8-bit, too large, or does not fit.
    """
    try:
        with Image.open(_opened(image_file), formats=FORMATS) as image:
            _check_header(image)
            rgb = (ImageOps.exif_transpose(image) if upright else image).convert("RGB")
    except (Undecodable, FileNotFoundError, UnidentifiedImageError) as error:
        raise Undecodable(_reason(error, image_file)) from None
    except Exception as error:  # decoders of broken files raise nearly anything
        raise Undecodable(f"broken or truncated image: {error}") from error
    return np.asarray(_fitted(rgb, fit))


def canonical(image: Image.Image, fit: Fit) -> Pixels:
    """Return an image that somebody has decoded as `decode` does, uint8 (H, W, 3).

    Raises:
        Undecodable: when it is not 8-bit, too large, broken, or does not fit.
    """
    _check_header(image)
    try:
        rgb = image.convert("RGB")
    except Exception as error:  # the file is read when the pixels are
        raise Undecodable(f"broken or truncated image: {error}") from error
    return np.asarray(_fitted(rgb, fit))


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before any pixel.

    Attributes:
        size: height and width as stored.
        turned: whether EXIF says to show it otherwise than it is stored.
        frames: number of pictures in it.
    """

    size: tuple[int, int]
    turned: bool = False
    frames: int = 1


def header_of(path: Path) -> Header | None:
    """Return an image file's header, or None when it has none that can be used."""
    size = size_of(path)
    if size is None:
        return None
    try:
        with Image.open(path, formats=FORMATS) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
            return Header(size, turned, getattr(image, "n_frames", 1))
    except Exception:  # the pixels may be sound for all that
        return Header(size)


def size_of(image_file: Path | bytes) -> tuple[int, int] | None:
    """Return (height, width) from the header of a file or its content; None when it has none."""
    try:
        with Image.open(_opened(image_file), formats=FORMATS) as image:
            _check_header(image)
            return image.height, image.width
    except Exception:  # as in `decode`, which says why when the image's turn comes
        return None


def _opened(image_file: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(image_file) if isinstance(image_file, bytes) else image_file


def _check_header(image: Image.Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise Undecodable(
            f"{image.width} x {image.height} pixels are more than the limit of "
            f"{MOST_PIXELS // 2**20} Mpx"
        )
    if image.mode not in _EIGHT_BIT:
        raise Undecodable(f"pixel format {image.mode!r}: save it with 8 bits a channel")


def _reason(error: Exception, image_file: Path | bytes) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case UnidentifiedImageError():
            size = len(image_file) if isinstance(image_file, bytes) else image_file.stat().st_size
            empty = ": the file is empty" if size == 0 else ""
            return f"not an image in a known format ({', '.join(FORMATS)}){empty}"
    return str(error)


def _fitted(image: Image.Image, fit: Fit) -> Image.Image:
    if fit.shorter is not None:
        image = _shorter_side(image, fit.shorter)
    if fit.crop is not None:
        image = _central(image, *fit.crop)
    if fit.size is not None and (image.height, image.width) != fit.size:
        image = image.resize(fit.size[::-1], Image.Resampling.BILINEAR)
    if fit.expect is not None and (image.height, image.width) != fit.expect[0]:
        (height, width), example = fit.expect
        raise Undecodable(
            f"is {image.height} x {image.width} (height x width), expected {height} x {width} as "
            f"{example}; set `size` to resize all"
        )
    return image


def _shorter_side(image: Image.Image, length: int) -> Image.Image:
    width, height = image.size
    shorter, longer = sorted((width, height))
    # Integer division, as torchvision's Resize rounds.
    scaled = length * longer // shorter
    if scaled * length > MOST_PIXELS:
        raise Undecodable(f"{width} x {height} pixels are too elongated to be resized")
    size = (length, scaled) if width <= height else (scaled, length)
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def _central(image: Image.Image, height: int, width: int) -> Image.Image:
    if image.height < height or image.width < width:
        raise Undecodable(
            f"is {image.height} x {image.width} (height x width), smaller than the crop of "
            f"{height} x {width}"
        )
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))
