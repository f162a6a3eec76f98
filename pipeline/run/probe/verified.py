"""A face model on labelled pairs: as it is configured, and as it might have been meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.listing import Flags, Positions
from gauntlet.pipeline.data.pair_list import PairList
from gauntlet.pipeline.evaluation.clean_accuracy import LEAST_VERIFICATION, better
from gauntlet.pipeline.evaluation.verdict import cosine
from gauntlet.pipeline.evaluation.verification import Reals, Threshold, protocol
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.run.probe.inputs import AS_GIVEN, INPUTS, read_as, written
from gauntlet.pipeline.run.probe.sample import keyed
from gauntlet.pipeline.run.showing import Showing, levels

CONFIGURED = "as configured"
CLEAR = 0.01
"""McNemar's p below which another way of reading the images is better."""
SIZES = ((112, 112), (112, 96), (160, 160), (224, 224))
"""Heights and widths that published face networks take."""
_BATCH = 32


@dataclass(frozen=True)
class Reading:
    """What a model says of pairs whose images it is shown in one way.

    Attributes:
        way: what a model's entry would have to say, or `CONFIGURED`.
        scores: cosine of each pair, (P,).
        result: threshold and accuracy by the LFW protocol.
        right: whether a pair is told by the threshold of the other folds, bool (P,).
    """

    way: str
    scores: Reals
    result: Threshold
    right: Flags

    def __str__(self) -> str:
        result = self.result
        return (
            f"{100 * result.accuracy_mean:.2f} ± {100 * result.accuracy_standard_error:.2f} %, "
            f"threshold {result.threshold:.4f}"
        )


def some_of(pairs: PairList, examples: Examples, most: int, seed: int = 0) -> PairList:
    """Return at most so many pairs, half of each kind, drawn by hash of their names."""
    if len(pairs.first) <= most:
        return pairs
    names = examples.image_names
    chosen: list[int] = []
    for same in (True, False):
        rows = np.flatnonzero(pairs.same == same).tolist()
        texts = [f"{names[pairs.first[row]]}|{names[pairs.second[row]]}" for row in rows]
        chosen += [rows[place] for place in keyed(texts, seed, most // 2)]
    chosen.sort()
    return replace(
        pairs,
        first=[pairs.first[row] for row in chosen],
        second=[pairs.second[row] for row in chosen],
        same=pairs.same[chosen],
        fold=pairs.fold[chosen],
    )


@dataclass(frozen=True)
class Shown:
    """Pairs with their images decoded, which every reading is shown.

    Attributes:
        pairs: the pairs.
        batches: each image once, in order.
        first: place among the images of each pair's first one, (P,).
        second: that of its second one, (P,).
    """

    pairs: PairList
    batches: tuple[Showing, ...]
    first: Positions
    second: Positions

    @classmethod
    def of(cls, examples: Examples, pairs: PairList) -> Shown:
        """Decode the images of pairs."""
        images, place = np.unique([*pairs.first, *pairs.second], return_inverse=True)
        batches = []
        for start in range(0, len(images), _BATCH):
            chunk = images[start : start + _BATCH].tolist()
            ids = tuple(f"image/{image}" for image in chunk)
            batches.append(Showing(levels(examples.images(chunk)), ids, "threshold", 0))
        count = len(pairs.first)
        return cls(pairs, tuple(batches), place[:count], place[count:])

    @property
    def grey(self) -> bool:
        """Whether no image has colours: its three channels are equal."""
        return all(bool((batch.images == batch.images[:, :1]).all()) for batch in self.batches)

    def to(self, model: Model, way: str) -> Reading:
        """Return what a model says of the pairs.

        Raises:
            ValueError: when it is no verification model, or gives numbers that are not finite.
            RuntimeError: and its like, when the network cannot take the images.
        """
        if not model.task.embeds:
            raise ValueError(f"{model.name} is a {model.task.value} model")
        vectors = np.concatenate([batch.of(model)[0] for batch in self.batches])
        if not np.isfinite(vectors).all():
            raise ValueError(f"{model.name} gives numbers that are not finite")
        scores = cosine(vectors[self.first], vectors[self.second])
        pairs = self.pairs
        result = protocol(scores, pairs.same, pairs.fold)
        return Reading(way, scores, result, _right(scores, pairs, result))


def others(model: Model, grey: bool = False) -> Iterator[tuple[str, Model]]:
    """Yield the usual mistakes put right: what the entry would say, and the model so read.

    Channel order, scale and size, one at a time; sizes where the model's is one of `SIZES`.

    Args:
        model: as configured.
        grey: whether the images have no colours, which show nothing of the channel order.
    """
    given = model.preprocessing
    for name in INPUTS:
        if grey and name == "channels":
            continue
        found = None if name == AS_GIVEN else read_as(name, given)
        if found is not None:
            yield written(given, found), model.reread(found)
    usual = given.input_size in (None, *SIZES)
    for size in SIZES if usual else ():
        if size != given.input_size:
            yield _sized(given, size), model.reread(replace(given, input_size=size))


def best_of(readings: Mapping[str, Reading]) -> Reading | None:
    """Return the reading that is better than `CONFIGURED` beyond doubt, the best of several."""
    given = readings[CONFIGURED]
    clear = []
    for reading in readings.values():
        gain, p = better(reading.right, given.right)
        if gain > 0 and p < CLEAR:
            clear.append(reading)
    return max(clear, key=lambda reading: reading.result.accuracy_mean, default=None)


def doubtful(reading: Reading) -> bool:
    """Whether a model hardly tells people apart."""
    return reading.result.accuracy_mean < LEAST_VERIFICATION


def _right(scores: Reals, pairs: PairList, result: Threshold) -> Flags:
    _, row = np.unique(pairs.fold, return_inverse=True)
    told: Flags = (scores >= result.fold_thresholds[row]) == pairs.same
    return told


def _sized(given: Preprocessing, size: tuple[int, int]) -> str:
    return f"input_size: [{size[0]}, {size[1]}]"
