"""What a data set of one's own may give for an index, in every form that is taken or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gauntlet.pipeline.data import items
from gauntlet.pipeline.data.decoding import Fit, Undecodable
from tests.toys.datasets import pixels

IMAGE = pixels(1)[0]
CHANNELS_FIRST = torch.from_numpy(IMAGE).permute(2, 0, 1)


@pytest.mark.parametrize(
    "given",
    [
        Image.fromarray(IMAGE),
        IMAGE,
        CHANNELS_FIRST,
        CHANNELS_FIRST.float() / 255,  # ToTensor
        CHANNELS_FIRST.double() / 255,
        (CHANNELS_FIRST.float() / 255).half(),
        (IMAGE / 255).astype(np.float32),
    ],
    ids=["PIL", "array", "tensor", "float32", "float64", "float16", "float array"],
)
def test_an_image_is_taken_to_the_bit(given: Any) -> None:
    assert np.array_equal(items.pixels(given, Fit()), IMAGE)


def test_grey_images_and_sizes() -> None:
    grey = np.repeat(IMAGE[..., :1], 3, 2)
    for given in (
        IMAGE[..., 0],
        IMAGE[..., :1],
        CHANNELS_FIRST[:1],
        Image.fromarray(IMAGE[..., 0]),
    ):
        assert np.array_equal(items.pixels(given, Fit()), grey)
    assert items.pixels(IMAGE, Fit(size=(8, 6))).shape == (8, 6, 3)
    with pytest.raises(Undecodable, match="expected 3 x 3"):
        items.pixels(IMAGE, Fit(expect=((3, 3), "set/0")))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            (CHANNELS_FIRST.float() / 255 - 0.5) / 0.2,
            "is a tensor of float32 with values from -2.42 to 2.36, expected 0 to 1: leave "
            "normalisation out of its transform, each model has its own",
        ),
        (
            torch.full((3, 2, 2), 0.1234),
            "is a tensor of float32 that is not 8-bit: 0.1234 is 31.47/255; leave resizing and "
            "other filters out of its transform (the job has `size`), or return uint8",
        ),
        (torch.full((3, 2, 2), float("nan")), "is a tensor of float32 with values from nan to nan"),
        (
            torch.zeros(3, 2, 2, dtype=torch.bfloat16),
            "is a tensor of bfloat16, which is too coarse for 8 bits: return uint8",
        ),
        (torch.zeros(2, 2, 3), "is a tensor of float32 (2, 2, 3), expected (3, H, W) or (1, H, W)"),
        (
            np.zeros((3, 4, 4), np.uint8),
            "is an array of uint8 (3, 4, 4), expected (H, W, 3), (H, W, 1) or (H, W)",
        ),
        (
            np.zeros((4, 4, 3), np.int64),
            "is an array of int64 (4, 4, 3), expected uint8, or floats in [0, 1]",
        ),
        (torch.zeros(3, 0, 4), "is a tensor of float32 (3, 0, 4), expected uint8, or floats in"),
        ("cat.png", "has a str as its image, expected a PIL image, array or tensor"),
        (Image.new("I;16", (4, 4)), "pixel format 'I;16': save it with 8 bits a channel"),
    ],
)
def test_what_is_no_8_bit_image_is_refused_precisely(given: Any, said: str) -> None:
    with pytest.raises(Undecodable) as refused:
        items.pixels(given, Fit())
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    "label", [3, np.int64(3), np.uint8(3), torch.tensor(3), torch.tensor([3]), np.array([3])]
)
def test_a_label_is_a_whole_number(label: Any) -> None:
    assert items.parts((IMAGE, label))[1] == 3
    assert items.parts([IMAGE, label])[1] == 3


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"image": IMAGE, "label": 1}, "is a dict, expected (image, label)"),
        ((IMAGE, 1, 2), "is a tuple of 3, expected (image, label)"),
        (IMAGE, "is a ndarray, expected (image, label)"),
        ((IMAGE, "cat"), "has the label 'cat', expected a whole number"),
        ((IMAGE, 1.0), "has the label 1.0, expected a whole number"),
        ((IMAGE, True), "has the label True, expected a whole number"),
        ((IMAGE, torch.tensor([0, 1])), "has the label tensor([0, 1]), expected a whole number"),
    ],
)
def test_an_item_is_an_image_and_a_label(item: Any, said: str) -> None:
    with pytest.raises(Undecodable) as refused:
        items.parts(item)
    assert str(refused.value) == said
