"""The stream: examples -> attack -> targets -> tables (architecture 3)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.results.schema import TABLES
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.evaluator import Evaluator
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.unit import BatchWork, Unit, UnitWriter, unit_id

STAGE = "attack and evaluate"
"""What the work is called where its progress is shown."""

GOODBYE = 2.0
"""Seconds that an interrupted run waits for its lanes before the models go away."""

ATTEMPTS = 2
"""How often a unit of work is tried before it goes to `failures`."""

PASSING = (OSError, MemoryError, torch.OutOfMemoryError)
"""Errors of the machine, not of the unit: another time, or elsewhere, it may not fail."""


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
    """The units of a run that are left to do, and the threads that carry them out.

    As many threads as the engine has lanes take units from one stream, batch by batch and attack by
    attack; each carries its unit through attack, targets and writing before it takes another. So at
    most ``lanes`` batches of pixels exist at a time, however many examples there are; each attack
    has at most `gauntlet.pipeline.run.steps.IN_FLIGHT` iterates more that wait for the targets.

    Args:
        plan: the run's plan.
        folder: takes the rows.
        engine: holds the models.
        evaluator: the targets.
        chosen: the examples to attack.
        finished: ids of units that an earlier attempt has finished.
        progress: who listens.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        engine: Engine,
        evaluator: Evaluator,
        chosen: Examples,
        finished: Collection[str],
        progress: Progress,
    ) -> None:
        self._plan, self._folder, self._engine = plan, folder, engine
        self._evaluator, self._chosen, self._done = evaluator, chosen, finished
        self._progress = progress
        self._writer = UnitWriter(plan, engine, evaluator, folder)
        self._found = len(finished)
        self._failed = self._rejected = self._lost = 0
        self._lasting: list[str] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def run(self, started: float) -> Outcome:
        """Work until nothing is left.

        Args:
            started: when the attempt began, by `time.perf_counter`.
        """
        self._progress.stage(STAGE, len(self._chosen) * len(self._plan.attacks))
        units = self._units()
        if self._engine.lanes == 1:
            self._lane(units)
        else:
            self._lanes(units)
        return Outcome(
            folder=self._folder.location,
            units_done=self._found,
            units_failed=self._failed,
            lasting=tuple(self._lasting),
            rejected=self._rejected,
            lost=self._lost,
            seconds=time.perf_counter() - started,
        )

    def _lanes(self, units: Iterator[Unit]) -> None:
        errors: list[BaseException] = []
        threads = [
            threading.Thread(target=self._guarded_lane, args=(units, errors), daemon=True)
            for _ in range(self._engine.lanes)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # stays open to Ctrl-C
        finally:
            self._stopping.set()
            until = time.monotonic() + GOODBYE
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
        if errors:
            raise errors[0]

    def _units(self) -> Iterator[Unit]:
        """Yield what is left to do, batch by batch, so that images are decoded once."""
        size = self._plan.resources.batch
        for first in range(0, len(self._chosen), size):
            positions = range(first, min(first + size, len(self._chosen)))
            ids = [self._chosen.ids[position] for position in positions]
            left = []
            for attack in self._plan.attacks:
                name = unit_id(self._plan, attack, ids)
                if name in self._done:
                    self._progress.advance(STAGE, len(ids))
                else:
                    left.append((attack, name))
            if left:
                begun = len(left) < len(self._plan.attacks)
                work = BatchWork(
                    self._plan, self._chosen, positions, self._evaluator, self._folder, begun
                )
                self._rejected += len(work.rejected)  # the lanes take units under the lock
                if work.rejected:
                    self._progress.note(set_aside("inputs", work.rejected))
                for attack, name in left:
                    yield Unit(name, attack, tuple(ids), work)

    def _guarded_lane(self, units: Iterator[Unit], errors: list[BaseException]) -> None:
        try:
            self._lane(units)
        except BaseException as error:
            errors.append(error)
            self._stopping.set()

    def _lane(self, units: Iterator[Unit]) -> None:
        while not self._stopping.is_set():
            with self._lock:
                unit = next(units, None)
            if unit is None:
                return
            self._carry_out(unit)

    def _carry_out(self, unit: Unit) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                lost = self._writer.write(unit)
            except (KeyboardInterrupt, SystemExit):
                raise
            except Exception as error:
                if self._stopping.is_set():
                    return  # the models may be gone: this says nothing about the unit
                if attempt < ATTEMPTS:
                    continue
                self._give_up(unit, error)
                return
            with self._lock:
                self._found += 1
                self._lost += lost
            self._progress.advance(STAGE, len(unit.ids))
            return

    def _give_up(self, unit: Unit, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        with self._lock:
            self._failed += 1
            if not isinstance(error, (*PASSING, *self._engine.losses)):
                self._lasting.append(reason)
        self._progress.note(f"unit {unit.id} ({unit.attack.label}) failed: {reason}")
        for table in TABLES:
            with contextlib.suppress(OSError):  # the disk may be what failed; resume writes anew
                self._folder.delete(f"{table}/{unit.id}.parquet")
        Failures(unit.attack.label, [(None, "unit", reason)]).write(self._folder, unit.id)


def set_aside(what: str, names: Sequence[str]) -> str:
    """Return that so many examples or inputs are left out, and the first ones' names."""
    return f"{len(names)} {what} set aside in `failures` ({first_names(names)})"
