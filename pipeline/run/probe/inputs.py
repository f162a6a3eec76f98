"""Other ways in which a network may want its input: the usual mistakes, each to be tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gauntlet.pipeline.models.preprocessing import Preprocessing, Triple

AS_GIVEN = "as given"
"""The reading that the job states."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BYTE = (1 / 255,) * 3


@dataclass(frozen=True)
class InputReading:
    """A hypothesis about a network's input convention.

    Attributes:
        cause: what is wrong with the job if it holds.
        change: from the convention that the job states to the one to be tried.
    """

    cause: str
    change: Callable[[Preprocessing], Preprocessing]


def _channels(given: Preprocessing) -> Preprocessing:
    return replace(given, channels="rgb" if given.channels == "bgr" else "bgr")


def _imagenet(given: Preprocessing) -> Preprocessing:
    return replace(given, mean=_ordered(_MEAN, given), std=_ordered(_STD, given))


def _unit(given: Preprocessing) -> Preprocessing:
    return replace(given, mean=None, std=None)


def _symmetric(given: Preprocessing) -> Preprocessing:
    return replace(given, mean=(0.5,) * 3, std=(0.5,) * 3)


def _bytes(given: Preprocessing) -> Preprocessing:
    return replace(given, mean=None, std=_BYTE)


def _caffe(given: Preprocessing) -> Preprocessing:
    return replace(given, channels="bgr", mean=_reversed(_MEAN), std=_BYTE)


INPUTS = {
    "channels": InputReading("the network wants the other channel order", _channels),
    "imagenet": InputReading("the network wants ImageNet's normalisation", _imagenet),
    "unit": InputReading(
        "the network wants images in [0, 1]: it normalises by itself, and this was done twice",
        _unit,
    ),
    "symmetric": InputReading("the network wants images in [-1, 1]", _symmetric),
    "bytes": InputReading("the network wants images in 0..255", _bytes),
    "caffe": InputReading(
        "the network wants BGR in 0..255, less ImageNet's mean, as Caffe's do", _caffe
    ),
}
"""The hypotheses by name."""


def read_as(name: str, given: Preprocessing) -> Preprocessing | None:
    """Return the convention of a reading, or None when it is the one that is given."""
    if name == AS_GIVEN:
        return given
    other = INPUTS[name].change(given)
    return None if written(given, other) == "" else other


def written(given: Preprocessing, other: Preprocessing) -> str:
    """Return what a model's entry must say to have the other convention; empty if they agree."""
    fields = []
    if other.channels != given.channels:
        fields.append(f"channels: {other.channels}")
    if _scale(other) != _scale(given):
        mean, std = _scale(other)
        fields += [f"mean: {_list(mean)}", f"std: {_list(std)}"]
    return ", ".join(fields)


def _scale(convention: Preprocessing) -> tuple[Triple, Triple]:
    return convention.mean or (0.0,) * 3, convention.std or (1.0,) * 3


def _ordered(rgb: Triple, given: Preprocessing) -> Triple:
    """Return three numbers in the network's channel order."""
    return _reversed(rgb) if given.channels == "bgr" else rgb


def _reversed(values: Triple) -> Triple:
    return values[2], values[1], values[0]


def _list(values: Triple) -> str:
    return "[" + ", ".join("1/255" if v == 1 / 255 else f"{v:g}" for v in values) + "]"
