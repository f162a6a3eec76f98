"""Other ways in which labels may have been counted: the usual mistakes, each to be tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.data.listing import Positions


@dataclass(frozen=True)
class LabelReading:
    """A hypothesis about labels.

    Attributes:
        cause: what is wrong with the data if it holds.
        advice: what to do then.
        change: from labels (N,) and the number of classes to the network's classes, (N,); what
            is outside 0..classes - 1 is no class.
        first: number of the data's first class, if that is what the hypothesis is about.
    """

    cause: str
    advice: str
    change: Callable[[Positions, int], Positions]
    first: int | None = None


def _from_one(labels: Positions, classes: int) -> Positions:
    return labels - 1


def _behind_background(labels: Positions, classes: int) -> Positions:
    return labels + 1


def _numbers_in_text_order(labels: Positions, classes: int) -> Positions:
    return _mapped(_text_order(classes), labels)


def _places_in_text_order(labels: Positions, classes: int) -> Positions:
    return _mapped(np.argsort(_text_order(classes)), labels)


LABELS = {
    "from one": LabelReading(
        "the labels are counted from 1, the network's classes from 0",
        "subtract 1 from every label",
        _from_one,
        first=1,
    ),
    "background": LabelReading(
        "the network's class 0 is none of the data's, as the background of 1,001 classes",
        "add 1 to every label, or drop the network's first output",
        _behind_background,
        first=0,
    ),
    "data in text order": LabelReading(
        "the labels are places in a list of numbers sorted as text (0, 1, 10, 100, ...)",
        "give each image its class's own number",
        _numbers_in_text_order,
    ),
    "network in text order": LabelReading(
        "the network was trained on class numbers sorted as text (0, 1, 10, 100, ...)",
        "give each image the place of its class in that order, in a file of labels",
        _places_in_text_order,
    ),
}
"""The hypotheses by name."""


def advice(name: str, data: DataSpec) -> str:
    """Return what to do if a reading holds, in a job with such data."""
    reading = LABELS[name]
    written = None if reading.first is None else data.numbered_from(reading.first)
    return written or reading.advice


def _text_order(classes: int) -> Positions:
    """Return the numbers 0..classes - 1 as they are sorted as text."""
    return np.asarray(sorted(range(classes), key=str), dtype=np.int64)


def _mapped(order: Positions, labels: Positions) -> Positions:
    known = (labels >= 0) & (labels < len(order))
    return np.where(known, order[np.where(known, labels, 0)], -1)
