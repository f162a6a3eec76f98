"""What the models are asked, and who is right under which reading of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.listing import Flags, PairRows, Positions
from gauntlet.pipeline.evaluation.clean_accuracy import right_pairs
from gauntlet.pipeline.evaluation.verdict import cosine
from gauntlet.pipeline.run.probe.inputs import AS_GIVEN
from gauntlet.pipeline.run.probe.labels import LABELS, advice
from gauntlet.pipeline.run.probe.sample import ImageSample, keyed

OWN_THRESHOLD, EXCHANGED = "own threshold", "exchanged"
MOSTLY = 0.75
"""Share of the examples beyond which the same answer to all would pass for a good one."""
FEWEST_PAIRS = 8
"""Pairs from which a threshold and an accuracy can be found."""


class CleanSet(Protocol):
    """Some clean examples with their right answers, to be put to every model."""

    @property
    def sample(self) -> ImageSample:
        """The images that it takes."""

    @property
    def decisive(self) -> bool:
        """Whether a model that always gives the same answer is wrong about a good part."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def rows(self, which: slice) -> CleanSet:
        """Return some of the examples."""

    def right(
        self, outputs: np.ndarray, rows: Positions, threshold: float | None
    ) -> RightByReading:
        """Return who is right about which example, under every reading of the data.

        Args:
            outputs: on the images that could be decoded, (R, C).
            rows: which of the sample's images those are, int (R,).
            threshold: the model's own from the job, if it has one.
        """


RightByReading = Mapping[str, Flags]
"""By reading of the data, `AS_GIVEN` among them: whether a model is right, bool (n,)."""


@dataclass(frozen=True)
class LabelledSet:
    """N labelled images.

    Attributes:
        sample: the images.
        labels: their classes, int (N,).
    """

    sample: ImageSample
    labels: Positions

    @classmethod
    def drawn(cls, examples: Examples, seed: int, count: int) -> LabelledSet:
        """Return at most so many examples, drawn by hash of seed and id."""
        chosen = keyed(examples.ids, seed, count)
        listing = examples.listing
        assert listing.labels is not None, "a classification has labels"
        positions = tuple(int(position) for position in listing.first[chosen])
        return cls(ImageSample(examples, positions, seed), listing.labels[chosen])

    @property
    def decisive(self) -> bool:
        """Whether no class has most of the examples."""
        return len(self) > 0 and bool(np.bincount(self.labels).max() < MOSTLY * len(self))

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, which: slice) -> LabelledSet:
        """Return some of the examples."""
        return LabelledSet(self.sample.rows(which), self.labels[which])

    def right(
        self, outputs: np.ndarray, rows: Positions, threshold: float | None
    ) -> RightByReading:
        """Return whose most likely class is the label; none is where outputs are not finite."""
        labels, classes = self.labels[rows], outputs.shape[1]
        said = np.where(np.isfinite(outputs).all(1), outputs.argmax(1), -2)
        found = {AS_GIVEN: said == labels}
        for name, reading in LABELS.items():
            found[name] = said == reading.change(labels, classes)
        return found


@dataclass(frozen=True)
class PairSet:
    """N pairs of images, half of one person and half of two as far as there are both.

    Attributes:
        sample: the images, each once.
        first: place in the sample of each pair's first image, (N,).
        second: that of its second image, (N,).
        same: whether it shows one person, (N,).
    """

    sample: ImageSample
    first: Positions
    second: Positions
    same: Flags

    @classmethod
    def drawn(cls, examples: Examples, seed: int, count: int) -> PairSet | None:
        """Return at most so many pairs, drawn by hash of seed and names.

        Returns:
            None where the source has too few labelled pairs.
        """
        pairs = examples.listing.pairs
        if pairs is None or len(pairs.same) < FEWEST_PAIRS:
            return None
        chosen = _both_kinds(pairs, examples, seed, count)
        return cls._of(
            ImageSample(examples, (), seed),
            pairs.first[chosen],
            pairs.second[chosen],
            pairs.same[chosen],
        )

    @classmethod
    def _of(cls, sample: ImageSample, first: Positions, second: Positions, same: Flags) -> PairSet:
        images, place = np.unique(np.concatenate((first, second)), return_inverse=True)
        taken = ImageSample(sample.examples, tuple(images.tolist()), sample.seed)
        return cls(taken, place[: len(first)], place[len(first) :], same)

    @property
    def decisive(self) -> bool:
        """Whether neither kind of pair is most of them."""
        return bool(1 - MOSTLY < self.same.mean() < MOSTLY)

    def __len__(self) -> int:
        return len(self.same)

    def rows(self, which: slice) -> PairSet:
        """Return some of the pairs."""
        images = np.asarray(self.sample.positions, dtype=np.int64)
        first, second = images[self.first[which]], images[self.second[which]]
        return self._of(self.sample, first, second, self.same[which])

    def right(
        self, outputs: np.ndarray, rows: Positions, threshold: float | None
    ) -> RightByReading:
        """Return who tells which pair; pairs with an image that could not be decoded are left out.

        Without a threshold of its own a model has the one that is best on the other pairs.
        """
        place = np.full(len(self.sample.positions), -1)
        place[rows] = np.arange(len(rows))
        known = (place[self.first] >= 0) & (place[self.second] >= 0)
        vectors = np.where(np.isfinite(outputs).all(1)[:, None], outputs, 0.0)
        scores = cosine(vectors[place[self.first[known]]], vectors[place[self.second[known]]])
        same = self.same[known]
        found = {AS_GIVEN: right_pairs(scores, same, threshold)}
        if same.any() and not same.all():
            found[EXCHANGED] = right_pairs(scores, ~same, None)
            if threshold is not None:
                found[OWN_THRESHOLD] = right_pairs(scores, same, None)
        return found


PAIR_CAUSES = {
    EXCHANGED: (
        "`same` is 1 for pairs of different people and 0 for pairs of one person",
        "exchange 1 and 0 in the list of pairs",
    ),
    OWN_THRESHOLD: (
        "the threshold is another one",
        "leave `threshold` out of the model's entry, and the run finds it",
    ),
}
"""Cause and advice of the readings of pairs."""


def cause_of(name: str, data: DataSpec) -> tuple[str, str]:
    """Return what is wrong if a reading of the data holds, and what to do in such a job."""
    return PAIR_CAUSES.get(name) or (LABELS[name].cause, advice(name, data))


def _both_kinds(pairs: PairRows, examples: Examples, seed: int, count: int) -> Positions:
    """Return positions of pairs of both kinds in turn, each kind in the order of its hash."""
    names = examples.image_names
    kinds = []
    for same in (True, False):
        rows = np.flatnonzero(pairs.same == same)
        drawn = keyed(
            [f"{names[pairs.first[row]]}|{names[pairs.second[row]]}" for row in rows],
            seed,
            count // 2,
        )
        kinds.append(rows[drawn])
    shorter = min(len(kind) for kind in kinds)
    # In turn, so that the first pairs of a longer draw are those of a shorter one.
    turns = np.stack([kind[:shorter] for kind in kinds], axis=1).ravel()
    return np.concatenate([turns, *(kind[shorter:] for kind in kinds)])
