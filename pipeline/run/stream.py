"""The stream: orders -> carriers -> receipts -> the record (architecture 3)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pyarrow import Buffer

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.listing import Positions
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results import parquet
from gauntlet.pipeline.results.parts import Receipt, part, stage
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.commits import Commits
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.batches import batches
from gauntlet.pipeline.run.blame import Blame, CommonCause
from gauntlet.pipeline.run.efforts import Efforts
from gauntlet.pipeline.run.engine import Carries
from gauntlet.pipeline.run.feed import Feed
from gauntlet.pipeline.run.ledger import Ledger
from gauntlet.pipeline.run.order import (
    Failed,
    Finished,
    Item,
    Order,
    Said,
    Spent,
    Stalled,
    Unreadable,
    split,
)
from gauntlet.pipeline.run.pauses import Pauses
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.unit import UnitIds

STAGE = "attack and evaluate"
"""What the work is called where its progress is shown."""

LESS = (
    "; where memory was short, a smaller resources.batch or rows_per_pass, fewer processes, or "
    "placement in-process take less"
)
"""What can be changed for a unit that was lost with its process again and again."""

LISTEN = 1.0
"""Seconds between two looks at what a carrier has done."""

GOODBYE = 2.0
"""Seconds that an interrupted run waits for what is made to be stored."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        folder: where its tables are.
        units_done: finished units, those of earlier attempts included.
        units_failed: units that kept failing; `resume` tries them again.
        lasting: why units failed that would fail again: their cause is in the job's code or data,
            not in storage, memory or a lost worker.
        rejected: inputs that could not be read.
        lost: examples x attacks that could not be attacked.
        seconds: wall-clock time of this attempt.
    """

    folder: str
    units_done: int
    units_failed: int
    lasting: tuple[str, ...]
    rejected: int
    lost: int
    seconds: float


class Stream:
    """The units of a run that are left to do, and the threads that hand them to carriers.

    No pixel passes through here: orders name examples, and what comes back are receipts of files
    that wait for a commit.

    Args:
        plan: the run's plan.
        folder: takes the rows.
        carriers: who does them.
        losses: errors by which a call ends whose carrier was lost.
        examples: all that the data source gives.
        chosen: positions of the examples to attack.
        record: of the run: which units are done.
        progress: who listens.
        another: starts one more carrier, or returns None: asked when those there are the limit.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        carriers: Sequence[Carries],
        losses: tuple[type[Exception], ...],
        examples: Examples,
        chosen: Positions,
        record: Record,
        progress: Progress,
        another: Callable[[], Carries | None] = lambda: None,
    ) -> None:
        self._plan, self._folder = plan, folder
        self._carriers, self._losses = carriers, losses
        self._examples, self._chosen = examples, chosen
        self._record, self._progress, self._another = record, progress, another
        self._batches = sum(1 for _ in self._cut())
        self._failed = self._lost = 0
        self._lasting: list[str] = []
        self._unreadable: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._errors: list[BaseException] = []
        self._gone: Exception | None = None
        self._said: set[str] = set()
        self._efforts, self._begun = Efforts(), 0
        self._blame = Blame(len({attack.label for attack in plan.attacks}))
        self._reason = ""
        self._pauses = Pauses(plan.resources.storage_patience_s, progress.note)
        self._patience = self._pauses.patience(folder.location)
        record.insist = self._patience.insist
        self._feeds: list[Feed] = []
        self._lanes: list[threading.Thread] = []
        self._listeners: list[threading.Thread] = []

    def run(self, started: float) -> Outcome:
        """Work until nothing is left.

        Args:
            started: when the attempt began, by `time.perf_counter`.

        Raises:
            StorageFailed: when rows cannot be stored, for as long as is tried; what is recorded
                stays.
            OSError: when another driver took the run over.
            CommonCause: when every carrier fails whatever it is given.
            Exception: one of the losses, when no carrier is left.
        """
        self._progress.stage(STAGE, len(self._chosen) * len(self._plan.attacks))
        lanes = sum(carrier.lanes for carrier in self._carriers)
        self._ledger = Ledger(self._orders(lanes))
        with Commits(self._folder, self._record) as self._commits:
            self._feeds = [self._feed(carrier) for carrier in self._carriers]
            try:
                self._work(lanes)
            finally:
                self._stopping.set()
                if not self._ledger.is_settled():
                    self._keep_what_is_made([feed for feed in self._feeds if not feed.retired])
        return Outcome(
            folder=self._folder.location,
            units_done=len(self._record.units),
            units_failed=self._failed,
            lasting=tuple(self._lasting),
            rejected=len(self._unreadable),
            lost=self._lost,
            seconds=time.perf_counter() - started,
        )

    # -- threads -------------------------------------------------------------------------------

    def _feed(self, carrier: Carries) -> Feed:
        return Feed(
            carrier,
            self._ledger,
            self._losses,
            heard=self._hear,
            gone=lambda count: self._progress.advance(STAGE, -count),
            given_up=self._give_up_lost,
            note=self._progress.note,
            log=self._progress.log,
        )

    def _work(self, lanes: int) -> None:
        if lanes == 1 and not self._losses:
            (feed,) = self._feeds
            self._listeners.append(self._thread(self._listen, feed))
            self._lane(feed)  # here, where Ctrl-C is heard
        else:
            for feed in self._feeds:
                self._begin(feed)
            # A lane may wait for ever for a process that is gone: what it had, others have done.
            while not self._is_over() and (left := [t for t in [*self._lanes] if t.is_alive()]):
                left[0].join(0.2)
        over = self._ledger.is_settled()
        self._stopping.set()
        for thread in [*self._listeners]:
            thread.join(GOODBYE)
        faults = [error for error in self._errors if not isinstance(error, self._losses)]
        if faults or (self._errors and not over):
            raise [*faults, *self._errors][0]
        if not over and self._gone is not None:
            raise self._gone
        if not over:
            raise CommonCause(f"every worker failed several units in a row: {self._reason}")

    def _begin(self, feed: Feed) -> None:
        """Start the threads that give a carrier its orders and hear its news."""
        self._listeners.append(self._thread(self._listen, feed))
        self._lanes += [self._thread(self._lane, feed) for _ in range(feed.carrier.lanes)]

    def _is_over(self) -> bool:
        """Return whether nobody has anything left to do."""
        return self._ledger.is_settled() or all(feed.retired for feed in self._feeds)

    def _thread(self, work: Callable[[Feed], None], feed: Feed) -> threading.Thread:
        def guarded() -> None:
            try:
                work(feed)
            except BaseException as error:
                self._errors.append(error)
                # A carrier that is lost is one of several: what it had, others do.
                if not isinstance(error, self._losses):
                    self._stopping.set()

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _lane(self, feed: Feed) -> None:
        while not (self._stopping.is_set() or feed.retired):
            feed.treat()
            order = self._ledger.next(feed.number)
            if order is not None:
                feed.carry(order)
            elif self._ledger.is_settled():
                return
            elif self._ledger.is_idle():
                feed.settle(self._patience.insist)
            else:
                self._ledger.wait(LISTEN)

    def _listen(self, feed: Feed) -> None:
        while not self._stopping.wait(LISTEN):
            try:
                feed.listen()
            except self._losses as error:
                self._gone = error  # its lanes hear of that, too, or wait for ever

    def _keep_what_is_made(self, feeds: Sequence[Feed]) -> None:
        """Have carriers store what they have buffered, within a few seconds."""

        def settle(feed: Feed) -> None:
            with suppress(Exception):  # what ended the run may have ended them, too
                feed.settle()

        threads = [threading.Thread(target=settle, args=(feed,), daemon=True) for feed in feeds]
        until = time.monotonic() + GOODBYE
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    # -- orders and news -----------------------------------------------------------------------

    def _cut(self) -> Iterator[range]:
        return batches(len(self._chosen), self._plan.resources.batch, self._record.kept)

    def _orders(self, lanes: int) -> Iterator[Order]:
        """Yield what is left to do, batch by batch, so that images are decoded once.

        The last batches are handed out attack by attack, so that no lane is idle before the others.
        """
        names, known = UnitIds(self._plan), self._record.units
        for number, rows in enumerate(self._cut()):
            self._begun = number + 1
            places = tuple(self._chosen[rows.start : rows.stop].tolist())
            ids = tuple(self._examples.ids[place] for place in places)
            units = dict(enumerate(names.of(ids)))
            done = [known[unit] for unit in units.values() if unit in known]
            left = {attack: unit for attack, unit in units.items() if unit not in known}
            if done:
                self._progress.advance(STAGE, len(done) * len(ids))
            if left:
                left_out = {example: why for unit in done for example, why in unit.left_out.items()}
                order = Order(places, ids, left, left_out)
                alone = lanes > 1 and self._batches - number <= lanes
                yield from split(order) if alone else [order]

    def _hear(self, carrier: int, item: Item) -> None:
        match item:
            case Unreadable(reasons):
                with self._lock:
                    fresh = [example for example in reasons if example not in self._unreadable]
                    self._unreadable.update(fresh)
                if fresh:
                    self._progress.note(set_aside("inputs", fresh))
            case Said(text):
                if text not in self._said:  # by another carrier
                    self._said.add(text)
                    self._progress.note(text)
            case Finished(unit, done):
                if (order := self._ledger.made(carrier, unit)) is not None:
                    self._blame.finished(carrier, done.attack)
                    self._progress.advance(STAGE, len(order.ids))
            case Failed(unit, attack, reason, passing, short):
                if self._stopping.is_set():
                    return
                self._reason = reason
                batch = self._ledger.batch_of(carrier, unit)
                if batch and not short:
                    self._feeds[carrier].sick |= self._blame.failed(carrier, attack, batch)
                if self._ledger.failed(carrier, unit, short=short):
                    reason += LESS if short else ""
                    self._give_up(unit, attack, reason, passing)
                else:
                    what = f"unit {unit} ({attack}) failed on carrier {carrier + 1}: {reason}"
                    self._progress.log(f"{what}; it is tried again")
            case Receipt():
                self._take(carrier, item)
            case Spent():
                self._judge(carrier, item)
            case Stalled(cause):
                self._pauses.stalled(carrier, cause)

    def _judge(self, carrier: int, spent: Spent) -> None:
        """Start one more carrier when those there are the limit, and work is left for it."""
        living = [feed for feed in self._feeds if not feed.retired]
        share = self._efforts.limiting(carrier, spent, {feed.number for feed in living})
        left = self._batches - self._begun
        lanes = sum(feed.carrier.lanes for feed in living)
        if share is None or self._stopping.is_set() or left <= lanes:
            return
        if (found := self._another()) is not None:
            few = f"{len(living)} hub{'s' if len(living) > 1 else ''}"
            self._progress.note(
                f"{few} spent {share:.0%} of the loops' time on their own work: one more is started"
            )
            feed = self._feed(found)
            self._feeds.append(feed)
            self._begin(feed)

    def _take(self, carrier: int, receipt: Receipt) -> None:
        for name, content in receipt.contents.items():
            self._stage(name, content)
        if not self._ledger.received(carrier, receipt):
            return  # no commit lists these files, and whoever ends the run removes them
        self._commits.add(receipt.files, receipt.units)
        with self._lock:
            self._lost += sum(done.lost for done in receipt.units.values())

    def _stage(self, name: str, content: Buffer | bytes) -> None:
        self._patience.insist(lambda: stage(self._folder, name, content))

    def _give_up_lost(self, order: Order, unit: str, error: Exception) -> None:
        (attack,) = (number for number, name in order.units.items() if name == unit)
        reason = f"{type(error).__name__}: {error}{LESS}"
        self._give_up(unit, self._plan.attacks[attack].label, reason, passing=True)

    def _give_up(self, unit: str, attack: str, reason: str, passing: bool) -> None:
        with self._lock:
            self._failed += 1
            if not passing:
                self._lasting.append(reason)
        self._progress.note(f"unit {unit} ({attack}) failed: {reason}")
        failures = Failures()
        failures.add(None, "unit", reason, attack)
        rows = parquet.rows_of("failures", unit, failures.columns())
        file, content = part("failures", rows, (unit,))
        self._stage(file.name, content)
        self._commits.add([file])
        with self._lock:
            common = self._blame.given_up(attack)
        if common:
            raise CommonCause(f"every attack fails, wherever it is tried: {reason}")


def set_aside(what: str, names: Sequence[str]) -> str:
    """Return that so many examples or inputs are left out, and the first ones' names."""
    return f"{len(names)} {what} set aside in `failures` ({first_names(names)})"
