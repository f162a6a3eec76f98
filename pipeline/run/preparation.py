"""What a run finds out before it attacks: thresholds, and which examples qualify."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.examples import Examples, PairList, open_examples
from gauntlet.pipeline.evaluation.false_accepts import at_false_accept_rate
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
from gauntlet.pipeline.run.engine import Carries, Engine
from gauntlet.pipeline.run.evaluator import not_finite
from gauntlet.pipeline.run.order import CleanAnswers, Order
from gauntlet.pipeline.run.plan import FalseAccepts, Plan, ThresholdRule
from gauntlet.pipeline.run.showing import Showing


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of verification models, and the pairs that they are from.

    Attributes:
        found: threshold, accuracy and where they come from, by model; empty for classification.
        pairs: the pairs; None when none was needed.
    """

    found: dict[str, ThresholdRecord]
    pairs: PairList | None = None


def thresholds(plan: Plan, examples: Examples, engine: Engine, progress: Progress) -> Thresholds:
    """Return each verification model's threshold by the job's rule, and its accuracy.

    Embedding match has the cosine of the job, or none where a gallery decides.

    Every image of the pair list is embedded once by every model whose job entry gives no threshold
    and for which none was found before on the same pairs.

    Raises:
        BadInput: when there are no pairs to find a threshold on, or too few for the rule.
    """
    if plan.task.kind is Task.CLASSIFICATION:
        return Thresholds({})
    wanted = judging(plan)
    if plan.success is not None:
        if (cosine := plan.success.cosine) is None:
            return Thresholds({})
        return Thresholds(dict.fromkeys(wanted, ThresholdRecord(source="job", threshold=cosine)))
    found = {
        spec.name: ThresholdRecord(source="job", threshold=spec.threshold)
        for spec in (*plan.surrogates, *plan.targets)
        if spec.threshold is not None
    }
    missing = [name for name in wanted if name not in found]
    if not missing:
        return Thresholds(found)
    examples = calibrating(plan, examples)
    pairs = examples.verification_pairs()
    if pairs.left_out:
        progress.note(_left_out(pairs))
    cards = engine.cards
    keys = {
        name: f"{(cards.get(f'target/{name}') or cards[f'surrogate/{name}']).fingerprint}"
        f"-{pairs.fingerprint}-{plan.seed}{_suffix(plan.threshold)}"
        for name in missing
    }
    # The key is of the pairs that are used: an entry may be from a list without the others.
    listed = {"pairs_listed": pairs.listed}
    cached = {
        name: entry.model_copy(update=listed)
        for name in missing
        if (entry := threshold_cache.load(keys[name]))
    }
    found |= cached
    missing = [name for name in missing if name not in cached]
    for name, entry in cached.items():
        progress.note(f"{entry.in_words(name)}, found before ({keys[name]})")
    if not missing:
        return Thresholds(found, pairs)
    images = sorted({*pairs.first, *pairs.second})
    row = {image: position for position, image in enumerate(images)}
    progress.stage("thresholds", len(images), "images")
    size = plan.resources.batch
    parts: dict[str, list[np.ndarray]] = {name: [] for name in missing}
    for first in range(0, len(images), size):
        chunk = images[first : first + size]
        ids = tuple(f"image/{image}" for image in chunk)
        showing = Showing(examples.images(chunk), ids, "threshold", plan.seed)
        for name, outputs in engine.ask(missing, showing).items():
            parts[name].append(unit_rows(outputs[0]))
        progress.advance("thresholds", len(chunk))
    for name, embedded in parts.items():
        vectors = np.concatenate(embedded)
        scores = (
            vectors[[row[image] for image in pairs.first]]
            * vectors[[row[image] for image in pairs.second]]
        ).sum(1)
        result = protocol(scores, pairs.same, pairs.fold)
        entry = _entry(result, scores, pairs.same, plan.threshold)
        threshold_cache.save(keys[name], entry)
        found[name] = entry.model_copy(update=listed)
        progress.note(
            f"{found[name].in_words(name)}, accuracy "
            f"{100 * result.accuracy_mean:.2f} ± {100 * result.accuracy_standard_error:.2f} % "
            f"(ten folds, standard error)"
        )
    return Thresholds(found, pairs)


def calibrating(plan: Plan, examples: Examples) -> Examples:
    """Return the examples whose pairs thresholds are found on: the attacked ones by default."""
    if plan.calibrate is None:
        return examples
    return open_examples(plan.calibrate, plan.task.goal, root=plan.root, seed=plan.seed)


def _suffix(rule: ThresholdRule) -> str:
    """Return what a rule adds to the names of what is found by it; nothing for the first one."""
    return f"-far-{rule.far:g}" if isinstance(rule, FalseAccepts) else ""


def _entry(result: Threshold, scores: Reals, same: Flags, rule: ThresholdRule) -> ThresholdRecord:
    """Return a model's threshold by a rule, with its accuracy by the LFW protocol.

    Raises:
        BadInput: when the pairs are too few for the rule.
    """
    entry = ThresholdRecord(
        source="LFW protocol",
        pairs=len(scores),
        threshold=result.threshold,
        accuracy=result.accuracy_mean,
        accuracy_standard_error=result.accuracy_standard_error,
        accuracy_sd=result.accuracy_sd,
        accuracy_at_threshold=result.accuracy_at_threshold,
    )
    if not isinstance(rule, FalseAccepts):
        return entry
    try:
        found = at_false_accept_rate(scores[~same], rule.far)
    except ValueError as error:
        raise BadInput(Problem("threshold.far", str(error))) from None
    return entry.model_copy(
        update={
            "source": str(rule),
            "threshold": found.threshold,
            "low": found.low,
            "high": found.high,
            "impostors": found.impostors,
            "false_accepts": found.accepted,
            "true_accept_rate": float((scores[same] >= found.threshold).mean()),
            "accuracy_at_threshold": accuracy(scores, same, found.threshold),
        }
    )


def _left_out(pairs: PairList) -> str:
    names = [image.id for image in pairs.rejected]
    return (
        f"thresholds: {pairs.left_out:,} of {pairs.listed:,} pairs left out; images that did not "
        f"decode, in `failures`: {len(names):,} ({first_names(names)})"
    )


def judging(plan: Plan) -> list[str]:
    """Return the models whose verdicts the run needs: targets, and those that select examples."""
    return list(dict.fromkeys([*(spec.name for spec in plan.targets), *selecting(plan)]))


def selecting(plan: Plan) -> tuple[str, ...]:
    """Return the names of the models that must be right about every attacked example."""
    match plan.select.correct:
        case None:
            return ()
        case "surrogates":
            return tuple(spec.name for spec in plan.surrogates)
        case "targets":
            return tuple(spec.name for spec in plan.targets)
        case "all":
            names = [spec.name for spec in (*plan.surrogates, *plan.targets)]
            return tuple(dict.fromkeys(names))
        case names:
            return tuple(names)


@dataclass(frozen=True)
class Selection:
    """Which examples a run attacks.

    Attributes:
        ids: of the examples.
        looked_at: how many were looked at.
        dropped: why examples were left out that no model could be right or wrong about, by id.
    """

    ids: list[str]
    looked_at: int
    dropped: Mapping[str, str]


def select(
    plan: Plan, examples: Examples, carriers: Sequence[Carries], progress: Progress
) -> Selection:
    """Return the examples to attack: carriers look at batches, as many at a time as have lanes."""
    names = selecting(plan)
    limit = plan.select.limit
    if not names:
        ids = list(examples.ids)
        return Selection(ids[:limit], len(ids), {})
    progress.stage("select", len(examples))
    kept: list[str] = []
    readable: list[str] = []
    unreadable: set[str] = set()
    dropped: dict[str, str] = {}
    looked_at = 0
    for order, found in _looks(plan, examples, carriers, names):
        looked_at += len(order.ids)
        progress.advance("select", len(order.ids))
        right = {example for example in order.ids if example not in found.unreadable}
        for name, correct in found.correct.items():
            if correct is None:
                raise BadInput(
                    Problem("select.correct", "the data has no labels to be right about")
                )
            right &= correct
            for example in found.unsound[name]:
                dropped.setdefault(example, not_finite("model", name, "the clean image"))
        right -= dropped.keys()
        unreadable |= found.unreadable
        # What cannot be decoded stays in, so that the attack stage reports it in `failures`.
        kept += [example for example in order.ids if example in right or example in unreadable]
        readable += [example for example in order.ids if example in right]
        if limit is not None and len(readable) >= limit:
            last = readable[limit - 1]
            # Nothing behind the last one counts: how far was looked depends on the batch size.
            before = set(examples.ids[: examples.ids.index(last) + 1])
            dropped = {example: why for example, why in dropped.items() if example in before}
            return Selection(kept[: kept.index(last) + 1], looked_at, dropped)
    return Selection(kept, looked_at, dropped)


def _looks(
    plan: Plan, examples: Examples, carriers: Sequence[Carries], names: tuple[str, ...]
) -> Iterator[tuple[Order, CleanAnswers]]:
    """Yield what models say of each batch, in the order of the examples."""
    size = plan.resources.batch
    parts = (range(at, min(at + size, len(examples))) for at in range(0, len(examples), size))
    orders = (Order(tuple(part), examples.ids[part.start : part.stop], {}) for part in parts)
    lanes = [carrier for carrier in carriers for _ in range(carrier.lanes)]
    if len(lanes) == 1:
        yield from ((order, lanes[0].clean(order, names)) for order in orders)
        return
    free = SimpleQueue[Carries]()
    for carrier in lanes:
        free.put(carrier)

    def look(order: Order) -> CleanAnswers:
        carrier = free.get()
        try:
            return carrier.clean(order, names)
        finally:
            free.put(carrier)

    with ThreadPoolExecutor(len(lanes)) as pool:
        waiting: deque[tuple[Order, Future[CleanAnswers]]] = deque()
        try:
            for order in orders:
                waiting.append((order, pool.submit(look, order)))
                if len(waiting) > len(lanes):
                    first, answer = waiting.popleft()
                    yield first, answer.result()
            while waiting:
                first, answer = waiting.popleft()
                yield first, answer.result()
        finally:
            for _, answer in waiting:
                answer.cancel()
