"""Success on embeddings that a person states: a cosine, or a rank in their gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

from gauntlet.pipeline.batch import Batch, Task
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.evaluation.threshold_rules import ALONE, ThresholdRule
from gauntlet.pipeline.library.images import pixels
from gauntlet.pipeline.library.thresholds import Pairs, thresholds
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run.showing import Showing

Match: TypeAlias = float | tuple[int, Tensor]
"""A cosine; or a rank, and the images of a gallery, (G, 3, H, W) in [0, 1]."""
Bars: TypeAlias = tuple[dict[str, ThresholdRecord], Gallery | None]
"""What decides on success: thresholds by target, or a gallery."""


def bars(
    models: Sequence[Model],
    batch: Batch,
    match: Match | None,
    threshold: float | Mapping[str, float] | None,
    pairs: Pairs | None,
    seed: int,
    rules: Sequence[ThresholdRule] = ALONE,
) -> Bars:
    """Return what success on a batch is for each target.

    Args:
        models: the targets.
        batch: the examples.
        match: of embedding match; None for the other tasks.
        threshold: of verification.
        pairs: of verification, too.
        seed: keys the draws of randomised targets.
        rules: of verification, the headline first.

    Raises:
        ValueError: when these do not go together, or a gallery is too small for its rank.
    """
    if match is None:
        return thresholds(models, batch.goal.task, threshold, pairs, seed, rules), None
    if batch.goal.task is Task.CLASSIFICATION:
        raise ValueError("classifiers have no embeddings to compare: leave match out")
    if threshold is not None or pairs is not None or tuple(rules) != ALONE:
        raise ValueError("match takes the place of threshold, pairs and rules: leave them out")
    if isinstance(match, tuple):
        return {}, _gallery(models, batch, *match, seed)
    if not -1 < match < 1:
        raise ValueError(f"match must be a cosine between -1 and 1, got {match}")
    entry = ThresholdRecord(source="job", threshold=float(match))
    return {model.name: entry for model in models}, None


def _gallery(
    models: Sequence[Model], batch: Batch, rank: int, images: Tensor, seed: int
) -> Gallery:
    """Return a gallery in which equal pixels are the same image."""
    if rank < 1:
        raise ValueError(f"match: a rank is 1 or more, got {rank}")
    assert batch.references is not None, "goals about embeddings have references"
    shown = pixels("match, gallery", images).to("cpu", batch.references.dtype).contiguous()
    number: dict[bytes, int] = {}
    shows = [number.setdefault(image.numpy().tobytes(), len(number)) for image in shown]
    references = (image.numpy().tobytes() for image in batch.references.contiguous())
    victims = {
        example: number[image]
        for example, image in zip(batch.ids, references, strict=True)
        if image in number
    }
    ids = tuple(f"gallery/{place}" for place in range(len(shown)))
    showing = Showing(shown, ids, "gallery", seed)
    found = Gallery(rank, np.asarray(shows, dtype=np.int64), victims, {})
    for example in batch.ids:
        if (others := int(found.theirs(example).sum())) < rank:
            what = f"rank {rank} needs as many images beside the second image of {example!r}"
            raise ValueError(f"match: {what}, and there are {others}")
    embeddings = {model.name: showing.of(model)[0] for model in models}
    return Gallery(rank, found.shows, victims, embeddings)
