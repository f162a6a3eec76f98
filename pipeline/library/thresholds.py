"""Thresholds of verification models that a person has: given, or found on their pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.evaluation.threshold_rules import ALONE, ThresholdRule
from gauntlet.pipeline.evaluation.verification import unit_rows
from gauntlet.pipeline.library.images import pixels
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.problems import suggest
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run.calibration import Rule, by_rules, headed
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
    rules: Sequence[ThresholdRule] = ALONE,
) -> dict[str, ThresholdRecord]:
    """Return each model's thresholds by name; none for classifiers.

    Args:
        models: the models.
        task: what they do.
        given: cosine threshold, for all or by name; it stands in place of the headline.
        pairs: what the others are found on.
        seed: keys the draws of randomised models.
        rules: by which, the headline first.

    Raises:
        ValueError: when a model has none and there are no pairs, or the pairs cannot give one.
    """
    headline, *further = rules
    if task is Task.CLASSIFICATION:
        if given is not None or pairs is not None or further or headline != "accuracy":
            raise ValueError("classifiers have no threshold: leave threshold, pairs and rules out")
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
        if cosine is not None and not further:
            found[model.name] = ThresholdRecord(source="job", threshold=float(cosine))
        elif pairs is None:
            lacks = "threshold: give threshold= or pairs=" if cosine is None else "pairs="
            raise ValueError(f"target {model.name!r} has no {lacks}")
        else:
            wanted = (headline if cosine is None else float(cosine), *further)
            found[model.name] = _calibrated(model, pairs, seed, wanted)
    return found


def _calibrated(model: Model, pairs: Pairs, seed: int, rules: Sequence[Rule]) -> ThresholdRecord:
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
    return headed(by_rules(scores, same.cpu().numpy().astype(np.bool_), fold, rules))
