from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.run.probe.inputs import AS_GIVEN, INPUTS, read_as, written
from gauntlet.pipeline.run.probe.labels import LABELS
from gauntlet.pipeline.run.probe.seeing import DecodedSample
from gauntlet.pipeline.run.showing import Showing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLAIN = Preprocessing()
IMAGENET = Preprocessing(mean=MEAN, std=STD)
IMAGENET_WORDS = "mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]"


@pytest.mark.parametrize(
    ("given", "name", "words"),
    [
        (PLAIN, "channels", "channels: bgr"),
        (Preprocessing(channels="bgr"), "channels", "channels: rgb"),
        (PLAIN, "imagenet", IMAGENET_WORDS),
        (
            Preprocessing(channels="bgr"),
            "imagenet",
            "mean: [0.406, 0.456, 0.485], std: [0.225, 0.224, 0.229]",
        ),
        (IMAGENET, "unit", "mean: [0, 0, 0], std: [1, 1, 1]"),
        (PLAIN, "bytes", "mean: [0, 0, 0], std: [1/255, 1/255, 1/255]"),
        (PLAIN, "symmetric", "mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]"),
        (
            IMAGENET,
            "caffe",
            "channels: bgr, mean: [0.406, 0.456, 0.485], std: [1/255, 1/255, 1/255]",
        ),
    ],
)
def test_the_advice_is_what_the_job_has_to_say(given, name, words):
    other = read_as(name, given)
    assert other is not None
    assert written(given, other) == words


def test_a_reading_that_is_the_one_given_is_none():
    assert read_as("unit", PLAIN) is None
    assert read_as("unit", Preprocessing(mean=(0, 0, 0), std=(1, 1, 1))) is None
    assert read_as("imagenet", IMAGENET) is None
    assert read_as(AS_GIVEN, IMAGENET) is IMAGENET


def sample(images: torch.Tensor, readings: tuple[str, ...]) -> DecodedSample:
    rows = tuple(range(len(images)))
    showing = Showing(images, tuple(f"{row}" for row in rows), "clean", 0)
    return DecodedSample(readings, rows, (), showing)


class Means(nn.Module):
    """Outputs the mean of each channel that it is given."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


def test_a_model_is_read_anew_behind_its_own_size_and_nothing_of_it_changes():
    model = Model(Means(), Description(name="m", preprocessing=Preprocessing((4, 4), MEAN, STD)))
    before, fingerprint = model.mean.clone(), model.fingerprint
    images = torch.rand(3, 3, 4, 4)
    seen = sample(images, (AS_GIVEN, *INPUTS)).of(model)
    assert seen.error is None
    assert set(seen.outputs) == {AS_GIVEN, *INPUTS} - {"imagenet"}
    plain = images.mean((2, 3)).numpy()
    close = partial(np.allclose, rtol=1e-4, atol=1e-4)
    assert close(seen.outputs[AS_GIVEN], (plain - MEAN) / STD)
    assert close(seen.outputs["unit"], plain)
    assert close(seen.outputs["channels"], (plain[:, ::-1] - MEAN) / STD)
    assert close(seen.outputs["bytes"], 255 * plain)
    assert np.allclose(seen.outputs["caffe"], 255 * (plain - MEAN)[:, ::-1], rtol=1e-3, atol=1e-3)
    assert torch.equal(model.mean, before)
    twin = model.reread(PLAIN)
    assert twin.network is model.network
    assert twin.fingerprint != fingerprint == model.fingerprint


class Narrow(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("sizes do not match\nin a long message")


def test_a_model_that_cannot_look_keeps_no_other_from_it():
    asked = sample(torch.rand(2, 3, 4, 4), (AS_GIVEN,))
    bad, good = Model(Narrow(), Description(name="bad")), Model(Means(), Description(name="good"))
    assert asked.of(bad).error == "RuntimeError: sizes do not match"
    assert asked.of(good).outputs[AS_GIVEN].shape == (2, 3)


def test_label_readings():
    true = np.arange(12)
    text = np.array([0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9])  # of 12 numbers, in the order of text
    read = {name: reading.change for name, reading in LABELS.items()}
    assert read["from one"](true + 1, 12).tolist() == true.tolist()
    assert read["background"](true, 13).tolist() == (true + 1).tolist()
    # The folder "10" is at place 2.
    assert read["data in text order"](np.array([2, 4, 20]), 12).tolist() == [10, 2, -1]
    # A network that was trained on those folders says 2 to an image of class 10.
    assert read["network in text order"](np.array([10, 2]), 12).tolist() == [2, 4]
    assert read["network in text order"](text, 12).tolist() == true.tolist()
