"""Thresholds of verification models that a person has: given, or found on their pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.evaluation.verification import protocol, unit_rows
from gauntlet.pipeline.library.images import pixels
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.problems import suggest
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run.showing import Showing

Pairs: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""First images and second images, (P, 3, H, W) in [0, 1], and whether a pair shows one person,
bool (P,)."""
FOLDS = 10


def thresholds(
    models: Sequence[Model],
    task: Task,
    given: float | Mapping[str, float] | None,
    pairs: Pairs | None,
    seed: int,
) -> dict[str, ThresholdRecord]:
    """Return each model's threshold by name; none for classifiers.

    Args:
        models: the models.
        task: what they do.
        given: cosine threshold, for all or by name; it goes before ``pairs``.
        pairs: what the others' are found on by the LFW protocol.
        seed: keys the draws of randomised models.

    Raises:
        ValueError: when a model has none and there are no pairs, or the pairs cannot give one.
    """
    if task is Task.CLASSIFICATION:
        if given is not None or pairs is not None:
            raise ValueError("classifiers have no threshold: leave threshold and pairs out")
        return {}
    names = [model.name for model in models]
    if isinstance(given, Mapping):
        for name in given.keys() - set(names):
            raise ValueError(f"threshold: {suggest(name, names, 'target')}")
    else:
        given = {} if given is None else dict.fromkeys(names, given)
    found = {}
    for model in models:
        stated = model.spec.threshold if model.spec is not None else None
        cosine = given.get(model.name, stated)
        if cosine is not None:
            found[model.name] = ThresholdRecord(source="job", threshold=float(cosine))
        elif pairs is None:
            raise ValueError(f"target {model.name!r} has no threshold: give threshold= or pairs=")
        else:
            found[model.name] = _calibrated(model, pairs, seed)
    return found


def _calibrated(model: Model, pairs: Pairs, seed: int) -> ThresholdRecord:
    first, second, same = pairs
    if not len(first) == len(second) == len(same):
        sizes = f"{len(first)}, {len(second)} and {len(same)}"
        raise ValueError(f"pairs must be equally many images and answers, got {sizes}")
    embedded = []
    for side, images in (("first", first), ("second", second)):
        ids = tuple(f"{side}/{row}" for row in range(len(images)))
        showing = Showing(pixels(f"pairs, {side}", images), ids, "threshold", seed)
        embedded.append(unit_rows(showing.of(model)[0]))
    scores = (embedded[0] * embedded[1]).sum(1)
    fold = np.arange(len(scores)) % FOLDS
    result = protocol(scores, same.cpu().numpy().astype(np.bool_), fold)
    return ThresholdRecord(
        source="LFW protocol",
        pairs=len(scores),
        threshold=result.threshold,
        accuracy=result.accuracy_mean,
    )
