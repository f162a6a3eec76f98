"""The stream: examples -> attack -> targets -> tables (architecture 3)."""

from __future__ import annotations

import contextlib
import json
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

import torch

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.described import described
from gauntlet.pipeline.data.examples import Examples, PairList, open_examples
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.folder import RunFolder
from gauntlet.pipeline.results.manifest import (
    AttackRecord,
    Manifest,
    SelectionRecord,
    ThresholdRecord,
    UnitsRecord,
)
from gauntlet.pipeline.results.schema import TABLES
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.failed import Failed
from gauntlet.pipeline.run.judging import Judges
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.preparation import select, thresholds
from gauntlet.pipeline.run.probe.findings import Decide, Probe
from gauntlet.pipeline.run.probe.probe import probe
from gauntlet.pipeline.run.unit import BatchWork, Unit, UnitWriter, unit_id

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


class Runner:
    """Carries a plan out in a run folder, from wherever an earlier attempt stopped.

    As many threads as the engine has lanes take units from one stream, batch by batch and attack by
    attack; each carries its unit through attack, targets and writing before it takes another. So at
    most ``lanes`` batches of pixels exist at a time, however many examples there are; each attack
    has at most `gauntlet.pipeline.run.steps.IN_FLIGHT` iterates more that wait for the targets.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        engine: Engine,
        progress: Progress,
        decide: Decide | None = None,
    ) -> None:
        """Take up a run; ``decide`` hears what the models say of the clean data."""
        self._plan, self._folder = plan, folder
        self._engine, self._progress, self._decide = engine, progress, decide
        self._lock = threading.Lock()
        self._done = folder.finished()
        self._found = len(self._done)
        self._failed = self._rejected = self._lost = 0
        self._lasting: list[str] = []
        self._stopping = threading.Event()

    def run(self) -> Outcome:
        """Run what the ledger does not have yet.

        Raises:
            BadInput: when no example is left to attack, or when a resumed run's models changed.
            Refused: when the models lack the examples' classes, or when ``decide`` says so.
        """
        started = time.perf_counter()
        plan = self._plan
        self._progress.note(f"placement: {self._engine.description}")
        manifest = self._manifest()
        self._examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
        self._tell_data(manifest)
        if manifest.thresholds is None:
            found = thresholds(plan, self._examples, self._engine, self._progress)
            if found.pairs is not None:
                self._report_left_out(found.pairs)
            manifest.thresholds = found.found
            self._save(manifest)
        if manifest.probe is None:
            manifest.probe = self._probe(manifest.thresholds).record()
            self._save(manifest)
        self._judges = Judges(plan, self._engine, manifest.thresholds)
        self._writer = UnitWriter(plan, self._engine, self._judges, self._folder)
        self._chosen = self._selection(manifest)
        total = len(self._chosen) * len(plan.attacks)
        self._progress.stage("attack and evaluate", total)
        self._work()
        manifest.finished = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        manifest.seconds += time.perf_counter() - started
        manifest.units = UnitsRecord(done=self._found, failed=self._failed)
        self._save(manifest)
        return Outcome(
            folder=self._folder.location,
            units_done=self._found,
            units_failed=self._failed,
            lasting=tuple(self._lasting),
            rejected=self._rejected,
            lost=self._lost,
            seconds=time.perf_counter() - started,
        )

    # -- what is read --------------------------------------------------------------------------

    def _tell_data(self, manifest: Manifest) -> None:
        """Say and record what the source holds, and what of it is left out."""
        for line in described(self._examples, self._plan.data.source):
            self._progress.note(f"data: {line}")
        account = self._examples.account
        manifest.data = account.record(len(self._examples))
        self._save(manifest)
        failed = Failed(None)
        for entry in account.left_out:
            failed.add(None, "input", f"left out: {entry}")
        failed.write(self._folder, "data")

    def _report_left_out(self, pairs: PairList) -> None:
        """Put the images that no threshold is from into `failures`."""
        failed = Failed(None)
        for image in pairs.rejected:
            failed.add(image.id, "threshold", f"{image.reason}; its pairs give no threshold")
        failed.write(self._folder, "threshold")

    # -- stages --------------------------------------------------------------------------------

    def _probe(self, thresholds: Mapping[str, ThresholdRecord]) -> Probe:
        found = probe(self._plan, self._examples, self._engine, thresholds)
        if summary := found.summary():
            self._progress.note(summary)
        for warning in found.warnings:
            self._progress.warn(warning)
        if self._decide is not None:
            self._decide(found)
        return found

    def _selection(self, manifest: Manifest) -> Examples:
        if not self._folder.exists("selection.json"):
            found = select(self._plan, self._examples, self._judges, self._progress)
            manifest.selection = SelectionRecord(kept=len(found.ids), looked_at=found.looked_at)
            self._save(manifest)
            if found.dropped:
                failed = Failed(None)
                for example, reason in found.dropped.items():
                    failed.add(example, "select", reason)
                failed.write(self._folder, "select")
                self._progress.note(_set_aside("examples", list(found.dropped)))
            self._folder.write("selection.json", json.dumps(found.ids).encode())
        chosen = self._examples.select(records.selection(self._folder))
        if not len(chosen):
            where = "select.correct" if self._plan.select.correct else "data"
            raise BadInput(Problem(where, "no example is left to attack"))
        return chosen

    def _work(self) -> None:
        units = self._units()
        if self._engine.lanes == 1:
            self._lane(units)
            return
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
                    self._progress.advance("attack and evaluate", len(ids))
                else:
                    left.append((attack, name))
            if left:
                begun = len(left) < len(self._plan.attacks)
                work = BatchWork(
                    self._plan, self._chosen, positions, self._judges, self._folder, begun
                )
                self._rejected += len(work.rejected)  # the lanes take units under the lock
                if work.rejected:
                    self._progress.note(_set_aside("inputs", work.rejected))
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
            self._progress.advance("attack and evaluate", len(unit.ids))
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
        failed = Failed(unit.attack.label)
        failed.add(None, "unit", reason)
        failed.write(self._folder, unit.id)

    # -- the manifest --------------------------------------------------------------------------

    def _manifest(self) -> Manifest:
        """Return the manifest so far, refusing to go on with other models than before."""
        plan, cards = self._plan, dict(self._engine.cards)
        manifest = Manifest(
            started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            name=plan.name,
            seed=plan.seed,
            task=plan.task.model_dump(mode="json"),
            evaluate=plan.evaluate.model_dump(mode="json"),
            resources=plan.resources.model_dump(mode="json"),
            placement=self._engine.description,
            attacks=[AttackRecord.model_validate(attack.summary()) for attack in plan.attacks],
            models=cards,
            software=_software(),
        )
        if self._folder.exists("manifest.json"):
            before = records.manifest(self._folder)
            changed = [
                key
                for key, card in before.models.items()
                if key not in cards or cards[key].fingerprint != card.fingerprint
            ]
            if changed:
                raise BadInput(
                    Problem(
                        self._folder.location,
                        f"cannot resume: {', '.join(changed)} changed since the run began; "
                        "put the old checkpoint back, or start a new run",
                    )
                )
            manifest = before.taken_up(manifest)
        self._save(manifest)
        return manifest

    def _save(self, manifest: Manifest) -> None:
        self._folder.write("manifest.json", manifest.text())


def _set_aside(what: str, names: Sequence[str]) -> str:
    return f"{len(names)} {what} set aside in `failures` ({first_names(names)})"


def _software() -> dict[str, str]:
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for package in ("gauntlet", "torch", "torchvision", "numpy", "ray"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "absent"
    return versions
