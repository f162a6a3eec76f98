"""Thresholds of verification models, found on labelled pairs before a run attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.examples import Examples, PairList, open_examples
from gauntlet.pipeline.evaluation.error_rates import at_threshold, equal_error_rate
from gauntlet.pipeline.evaluation.false_accepts import at_false_accept_rate, too_few
from gauntlet.pipeline.evaluation.threshold_rules import (
    GIVEN,
    FalseAccepts,
    ThresholdRule,
    name_of,
)
from gauntlet.pipeline.evaluation.verification import (
    Flags,
    Reals,
    Threshold,
    accuracy,
    protocol,
    unit_rows,
)
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run import threshold_cache
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.selection import judging
from gauntlet.pipeline.run.showing import Showing

Rule = ThresholdRule | float
"""What a threshold is found by; a number is one that is given."""
Asked = Mapping[str, Sequence[Rule]]
"""By model, the rules that its thresholds are wanted by."""
Found = dict[str, dict[str, ThresholdRecord]]
"""By model and name of the rule."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of verification models, and the pairs that they are from.

    Attributes:
        found: the headline's threshold by model, with those of further rules inside; empty for
            classification, and where a gallery decides.
        pairs: the pairs; None when none was needed.
    """

    found: dict[str, ThresholdRecord]
    pairs: PairList | None = None


def thresholds(plan: Plan, examples: Examples, engine: Engine, progress: Progress) -> Thresholds:
    """Return each verification model's thresholds by the job's rules, and its accuracy.

    Embedding match has the cosine of the job, or none where a gallery decides.

    Every image of the pair list is embedded once by every model for which something is wanted that
    was not found before on the same pairs. A threshold in a model's entry stands in place of the
    headline; of several rules the further ones are found for every target.

    Raises:
        BadInput: when there are no pairs to find a threshold on, or too few for a rule.
    """
    if plan.task.kind is Task.CLASSIFICATION:
        return Thresholds({})
    if plan.success is not None:
        if (cosine := plan.success.cosine) is None:
            return Thresholds({})
        given = ThresholdRecord(source="job", threshold=cosine)
        return Thresholds(dict.fromkeys(judging(plan), given))
    found = {
        name: ThresholdRecord(source="job", threshold=threshold)
        for name, threshold in given_thresholds(plan).items()
    }
    asked = wanted(plan)
    if not asked:
        return Thresholds(found)
    examples = calibrating(plan, examples)
    pairs = examples.verification_pairs()
    for rule in plan.threshold:
        if isinstance(rule, FalseAccepts) and (why := too_few(rule.far, _impostors(pairs))):
            raise BadInput(Problem("threshold.far", why))
    for name, by_rule in calibrated(plan, examples, pairs, engine, progress, asked).items():
        found[name] = headed(by_rule)
    return Thresholds(found, pairs)


def wanted(plan: Plan) -> dict[str, list[Rule]]:
    """Return the models of a verification job that are asked about pairs, and for which rules."""
    headline, *further = plan.threshold
    given, targets = given_thresholds(plan), {spec.name for spec in plan.targets}
    rules: dict[str, list[Rule]] = {}
    for name in judging(plan):
        others = further if name in targets else []
        if others or name not in given:
            rules[name] = [given.get(name, headline), *others]
    return rules


def calibrating(plan: Plan, examples: Examples) -> Examples:
    """Return the examples whose pairs thresholds are found on: the attacked ones by default."""
    if plan.calibrate is None:
        return examples
    return open_examples(plan.calibrate, plan.task.goal, root=plan.root, seed=plan.seed)


def given_thresholds(plan: Plan) -> dict[str, float]:
    """Return the thresholds that the models' entries give, by model."""
    return {
        spec.name: spec.threshold
        for spec in (*plan.surrogates, *plan.targets)
        if spec.threshold is not None
    }


def calibrated(
    plan: Plan,
    examples: Examples,
    pairs: PairList,
    engine: Engine,
    progress: Progress,
    asked: Asked,
) -> Found:
    """Return what models' thresholds by some rules are, and how often they are wrong at these.

    Args:
        plan: whose models and seed.
        examples: those whose pairs they are.
        pairs: of both kinds, enough for the rules.
        engine: asks the models.
        progress: who listens.
        asked: what is wanted.
    """
    if pairs.left_out:
        progress.note(_left_out(pairs))
    # The key is of the pairs that are used: an entry may be from a list without the others.
    listed = {"pairs_listed": pairs.listed}
    found: Found = {}
    missing: dict[str, dict[Rule, str]] = {}
    for name, rules in asked.items():
        found[name] = {}
        for rule in rules:
            key = _key(plan, engine, pairs, name, rule)
            if (entry := threshold_cache.load(key)) is None:
                missing.setdefault(name, {})[rule] = key
                continue
            found[name][_called(rule)] = entry.model_copy(update=listed)
            progress.note(f"{entry.model_copy(update=listed).in_words(name)}, found before ({key})")
    for name, scores in _scores(plan, examples, pairs, engine, progress, [*missing]).items():
        entries = by_rules(scores, pairs.same, pairs.fold, [*missing[name]])
        for (called, entry), key in zip(entries.items(), missing[name].values(), strict=True):
            threshold_cache.save(key, entry)
            found[name][called] = entry.model_copy(update=listed)
            mean, error = entry.accuracy or 0.0, entry.accuracy_standard_error or 0.0
            progress.note(
                f"{found[name][called].in_words(name)}, accuracy "
                f"{100 * mean:.2f} ± {100 * error:.2f} % (ten folds, standard error)"
            )
    return {
        name: {_called(rule): found[name][_called(rule)] for rule in rules}
        for name, rules in asked.items()
    }


def _scores(
    plan: Plan,
    examples: Examples,
    pairs: PairList,
    engine: Engine,
    progress: Progress,
    models: Sequence[str],
) -> dict[str, Reals]:
    """Return the cosines of all pairs by some models, (P,) by name."""
    if not models:
        return {}
    images = sorted({*pairs.first, *pairs.second})
    row = {image: position for position, image in enumerate(images)}
    progress.stage("thresholds", len(images), "images")
    size = plan.resources.batch
    parts: dict[str, list[np.ndarray]] = {name: [] for name in models}
    for first in range(0, len(images), size):
        chunk = images[first : first + size]
        ids = tuple(f"image/{image}" for image in chunk)
        showing = Showing(examples.images(chunk), ids, "threshold", plan.seed)
        for name, outputs in engine.ask(models, showing).items():
            parts[name].append(unit_rows(outputs[0]))
        progress.advance("thresholds", len(chunk))
    scores = {}
    for name, embedded in parts.items():
        vectors = np.concatenate(embedded)
        scores[name] = (
            vectors[[row[image] for image in pairs.first]]
            * vectors[[row[image] for image in pairs.second]]
        ).sum(1)
    return scores


def by_rules(
    scores: Reals, same: Flags, fold: npt.NDArray[np.integer], rules: Sequence[Rule]
) -> dict[str, ThresholdRecord]:
    """Return a model's thresholds by some rules, by their names, with its accuracy and error rates.

    Args:
        scores: cosine of each pair, (P,).
        same: whether the pair shows one person, bool (P,).
        fold: fold of each pair, for the LFW protocol, (P,).
        rules: by which.

    Raises:
        ValueError: when the pairs are of one kind, or too few for a rule.
    """
    result, equal = protocol(scores, same, fold), equal_error_rate(scores, same)
    return {_called(rule): _entry(result, scores, same, rule, equal) for rule in rules}


def headed(by_name: Mapping[str, ThresholdRecord]) -> ThresholdRecord:
    """Return a model's headline, with its further thresholds inside.

    Args:
        by_name: thresholds by name of the rule, the headline first.
    """
    (_, headline), *others = by_name.items()
    return headline.model_copy(update={"further": dict(others)}) if others else headline


def _entry(
    result: Threshold, scores: Reals, same: Flags, rule: Rule, equal: float
) -> ThresholdRecord:
    own: dict[str, object] = {"source": "LFW protocol", "threshold": result.threshold}
    if isinstance(rule, FalseAccepts):
        found = at_false_accept_rate(scores[~same], rule.far)
        own = {"source": str(rule), "threshold": found.threshold}
        own |= {"low": found.low, "high": found.high}
    elif isinstance(rule, float):
        own = {"source": "job", "threshold": rule}
    entry = ThresholdRecord.model_validate(own)
    rates = at_threshold(scores, same, entry.threshold)
    return entry.model_copy(
        update={
            "pairs": len(scores),
            "accuracy": result.accuracy_mean,
            "accuracy_standard_error": result.accuracy_standard_error,
            "accuracy_sd": result.accuracy_sd,
            "accuracy_at_threshold": accuracy(scores, same, entry.threshold),
            "impostors": rates.impostors,
            "false_accepts": rates.false_accepts,
            "genuine": rates.genuine,
            "true_accept_rate": rates.true_accept_rate,
            "equal_error_rate": equal,
        }
    )


def _key(plan: Plan, engine: Engine, pairs: PairList, name: str, rule: Rule) -> str:
    """Return under what a threshold is kept: model, pairs, seed and rule."""
    cards = engine.cards
    card = cards.get(f"target/{name}") or cards[f"surrogate/{name}"]
    suffix = "" if rule == "accuracy" else f"-{_called(rule)}"
    value = f"-{rule!r}" if isinstance(rule, float) else ""
    return f"{card.fingerprint}-{pairs.fingerprint}-{plan.seed}{suffix}{value}"


def _called(rule: Rule) -> str:
    return GIVEN if isinstance(rule, float) else name_of(rule)


def _impostors(pairs: PairList) -> int:
    return int((~pairs.same).sum())


def _left_out(pairs: PairList) -> str:
    names = [image.id for image in pairs.rejected]
    return (
        f"thresholds: {pairs.left_out:,} of {pairs.listed:,} pairs left out; images that did not "
        f"decode, in `failures`: {len(names):,} ({first_names(names)})"
    )
