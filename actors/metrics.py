"""What actors count as Ray metrics: they are in the dashboard, and Prometheus scrapes them.

Everything is a counter, so that a sum over processes means something: gradients a second are
``sum(rate(ray_gauntlet_gradients_total[1m]))``. Where Ray has no agent to export them
(`gauntlet[cluster]`), counting costs some microseconds and nothing else happens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ray.util.metrics import Counter
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Oracle
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.results.parts import Receipt
from gauntlet.pipeline.run.order import Finished, Item, Log, Order

COUNTERS = {
    "units": "Units of work that are finished.",
    "examples": "Examples x attacks that are finished.",
    "gradients": "Gradients of images that surrogates have given.",
    "surrogate_waiting_seconds": "Time in which a surrogate had no question to answer.",
    "hub_waiting_seconds": "Time in which the loops of a hub waited for surrogates.",
    "bytes": "Bytes of tables that were written.",
}
"""By name, without what Ray puts around it: ``ray_gauntlet_units_total``."""


class Counts:
    """The counters of a process; any thread may count.

    Args:
        run: name of the job.
    """

    def __init__(self, run: str) -> None:
        self._counters = {
            name: Counter(f"gauntlet_{name}_total", description=what, tag_keys=("run",))
            for name, what in COUNTERS.items()
        }
        for counter in self._counters.values():
            counter.set_default_tags({"run": run})

    def add(self, name: str, amount: float) -> None:
        """Count so much more of what `COUNTERS` names."""
        if amount > 0:
            self._counters[name].inc(amount)


class CountingLog(Log):
    """A carrier's news, counted as they come.

    Args:
        counts: of the process.
    """

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts
        self._examples: dict[str, int] = {}

    def expect(self, order: Order) -> None:
        """Hear of an order that is being carried out, and so of how many examples a unit has."""
        self._examples |= dict.fromkeys(order.units.values(), len(order.ids))

    def add(self, item: Item) -> None:
        """Count an item and take it in."""
        match item:
            case Finished(unit):
                self._counts.add("units", 1)
                self._counts.add("examples", self._examples.pop(unit, 0))
            case Receipt(files=files):
                self._counts.add("bytes", sum(file.bytes for file in files))
        super().add(item)


class CountedOracle:
    """Surrogates whose gradients are counted, and the time in which their answers were waited for.

    Args:
        oracle: asks them.
        counts: of the process.
        waiting: what the time is counted as; None where they compute in this process.
    """

    def __init__(self, oracle: Oracle, counts: Counts, waiting: str | None = None) -> None:
        self._oracle, self._counts, self._waiting = oracle, counts, waiting

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the surrogates."""
        return self._oracle.models

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return each question's answer, counted."""
        with self._timed():
            found = self._oracle.gradients(setting, questions)
        self._counts.add("gradients", sum(len(question.points) for question in questions))
        return found

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Return each model's outputs."""
        with self._timed():
            return self._oracle.outputs(setting, questions)

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return each model's vector-Jacobian product, which takes as much as a gradient."""
        with self._timed():
            found = self._oracle.pullback(setting, questions, cotangents)
        self._counts.add("gradients", sum(len(question.points) for question in questions))
        return found

    def known(self, setting: Setting, model: int) -> Known:
        """Return what the query needs to know of the batch."""
        with self._timed():
            return self._oracle.known(setting, model)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if self._waiting is not None:
            self._counts.add(self._waiting, time.perf_counter() - began)


class Idle:
    """Counts the time between a process's calls, from the first on; they may overlap.

    Args:
        counts: of the process.
        name: what the time is counted as.
    """

    def __init__(self, counts: Counts, name: str) -> None:
        self._counts, self._name = counts, name
        self._lock = threading.Lock()
        self._calls = 0
        self._since: float | None = None

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Hold during a call."""
        with self._lock:
            if not self._calls and self._since is not None:
                self._counts.add(self._name, time.perf_counter() - self._since)
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                self._since = time.perf_counter()
