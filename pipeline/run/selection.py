"""Which examples a run attacks: those that models are right about before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.run.engine import Carries
from gauntlet.pipeline.run.evaluator import not_finite
from gauntlet.pipeline.run.order import CleanAnswers, Order
from gauntlet.pipeline.run.plan import Plan


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


def judging(plan: Plan) -> list[str]:
    """Return the models whose verdicts the run needs: targets, and those that select examples."""
    return list(dict.fromkeys([*(spec.name for spec in plan.targets), *selecting(plan)]))


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
