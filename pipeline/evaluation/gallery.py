"""Where a victim stands in a gallery, by what a model sees in its images (specification 5.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.evaluation.verdict import cosine

Reals = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Embeddings = npt.NDArray[np.float32]

NOBODY = -1
"""Number of a victim whom no image of the gallery shows."""
_ROUGH = 1e-3
"""More than a cosine can be off in single precision; where it matters it is computed in double."""


@dataclass(frozen=True)
class Standing:
    """Where the victims of B examples stand in each of R evaluations.

    Attributes:
        threshold: cosine to the image of others at the rank that is asked for: the victim is
            found where the cosine to its image is above, lost where it is below, (R, B).
        rank: place of the victim's image among those of others, from 1, (R, B).
    """

    threshold: Reals
    rank: Reals


@dataclass(frozen=True)
class Gallery:
    """G images that those of victims are told from.

    Attributes:
        rank: the place that is asked for.
        shows: number of whom each image shows, not negative, int64 (G,).
        victims: the same of each example's second image, by id; absent where no image shows it.
        embeddings: of the images by model, (G, D).
    """

    rank: int
    shows: Numbers
    victims: Mapping[str, int]
    embeddings: Mapping[str, Embeddings]

    def theirs(self, example: str) -> npt.NDArray[np.bool_]:
        """Return which images are not of an example's own victim, (G,)."""
        return np.asarray(self.shows != self.victims.get(example, NOBODY), dtype=np.bool_)

    def standing(
        self,
        model: str,
        examples: Sequence[str],
        outputs: npt.NDArray[np.floating],
        references: npt.NDArray[np.floating],
        goal: Goal,
    ) -> Standing:
        """Return where the victims stand among the others, as a model sees them.

        Ties count against the attacker: equally near images come before the victim's that is to
        be impersonated, and behind the one that is to be dodged. Cosines do not depend on what
        else is in the batch, to the last bit: a product in single precision only tells which of
        them matter.

        Args:
            model: its name.
            examples: ids of B examples.
            outputs: embeddings of their images, (R, B, D).
            references: embeddings of their second images, (R, B, D).
            goal: what the attacker wants.
        """
        images = self.embeddings[model]
        lengths = np.linalg.norm(images, axis=1)
        scores = cosine(outputs, references)
        found = Standing(np.empty(scores.shape), np.empty(scores.shape))
        for column, example in enumerate(examples):
            theirs = self.theirs(example)
            for row in range(len(scores)):
                output, score = outputs[row, column], scores[row, column]
                cosines = self._cosines(output, score, images, lengths, theirs)
                ahead = cosines >= score if goal is Goal.IMPERSONATION else cosines > score
                found.threshold[row, column] = np.partition(cosines, -self.rank)[-self.rank]
                found.rank[row, column] = 1 + ahead.sum()
        return found

    def _cosines(
        self,
        output: npt.NDArray[np.floating],
        score: float,
        images: Embeddings,
        lengths: npt.NDArray[np.floating],
        theirs: npt.NDArray[np.bool_],
    ) -> Reals:
        """Return cosines to the images of others, exact near the score and near the rank."""
        products = images @ output.astype(np.float32)
        scale = lengths * np.float32(np.linalg.norm(output))
        rough = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
        rough[~theirs] = -np.inf
        last = np.partition(rough, -self.rank)[-self.rank]
        near = (np.abs(rough - score) < _ROUGH) | (rough > last - 2 * _ROUGH)
        cosines: Reals = rough.astype(np.float64)
        cosines[near] = cosine(output, images[near])
        return cosines
