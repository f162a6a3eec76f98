"""Images for a look at the models, decoded where the models are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.listing import Positions
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.look import Look


@dataclass(frozen=True)
class ImageSample:
    """Some single images of a source; holds no pixels, and can be sent to other processes.

    Attributes:
        examples: names the source.
        positions: of the images in it.
        seed: the run's seed.
    """

    examples: Examples
    positions: tuple[int, ...]
    seed: int

    def rows(self, which: slice) -> ImageSample:
        """Return some of the images."""
        return ImageSample(self.examples, self.positions[which], self.seed)

    def decode(self) -> Decoded:
        """Return what can be decoded of the images."""
        images: list[Tensor] = []
        rows: list[int] = []
        reasons: list[str] = []
        for row, position in enumerate(self.positions):
            try:
                images.append(self.examples.images([position]))
                rows.append(row)
            except BadInput as error:
                reasons.append(str(error))
        if not images:
            return Decoded((), tuple(reasons), None)
        names = self.examples.image_names
        ids = tuple(names[self.positions[row]] for row in rows)
        return Decoded(
            tuple(rows), tuple(reasons), Look(torch.cat(images), ids, "clean", self.seed)
        )


@dataclass(frozen=True)
class Decoded:
    """The images of a sample.

    Attributes:
        rows: which of them could be decoded.
        reasons: why the others could not.
        look: the decoded ones, to be shown; None when there is none.
    """

    rows: tuple[int, ...]
    reasons: tuple[str, ...]
    look: Look | None


@dataclass(frozen=True)
class Seen:
    """What a model says of R images.

    Attributes:
        outputs: by the reading of its input, float32 (R, C). A reading that is the same as the
            one given is not there.
        written: what the model's entry in a job has to say for each reading.
        error: why the model cannot look at such images, or None.
    """

    outputs: Mapping[str, np.ndarray]
    written: Mapping[str, str]
    error: str | None = None


@dataclass(frozen=True)
class Sampled:
    """What models say of a sample.

    Attributes:
        rows: which of its images could be decoded, int (R,).
        reasons: why the others could not.
        seen: by model.
    """

    rows: Positions
    reasons: tuple[str, ...]
    seen: Mapping[str, Seen]


def sampled(decoded: Decoded, seen: Mapping[str, Seen]) -> Sampled:
    """Return models' answers beside the rows that they are about."""
    return Sampled(np.asarray(decoded.rows, dtype=np.int64), decoded.reasons, seen)


def keyed(names: Sequence[str], seed: int, count: int) -> list[int]:
    """Return positions of at most so many names, drawn by hash: the same wherever they stand.

    The first of a longer draw are those of a shorter one.
    """
    bits = Draws.keyed(seed, names).bits("probe").numpy() if names else np.zeros(0)
    order = np.lexsort((np.asarray(names), bits))
    return [int(position) for position in order[:count]]
