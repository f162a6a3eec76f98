"""One attempt at a run: its folder and lock, its models, and the plan carried out with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress, Silent
from gauntlet.pipeline.results import RunFolder, records
from gauntlet.pipeline.results.lock import Lock
from gauntlet.pipeline.results.manifest import CostRecord
from gauntlet.pipeline.results.reading import occupied
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.run.costs import kept
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.logged import Logged
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.findings import Decide, Refused
from gauntlet.pipeline.run.runner import Runner
from gauntlet.pipeline.run.stream import Outcome
from gauntlet.pipeline.run.taking_up import check_same


def attempt(
    plan: Plan,
    folder: str,
    engine: Callable[[Progress], Engine],
    *,
    progress: Progress | None = None,
    resume: bool = False,
    decide: Decide | None = None,
    foretell: Callable[[Plan, Iterable[str]], CostRecord | None] | None = kept,
) -> Outcome:
    """Carry a plan out in a run folder.

    Args:
        plan: what to do; with ``resume`` the folder's own (`plan_of`), which may differ in where
            and how the rest is done.
        folder: local path, or ``s3://bucket/prefix``, ``gs://...``, ``az://...``.
        engine: builds the models; hears who listens.
        progress: who listens.
        resume: go on with the run in the folder instead of starting one.
        decide: hears what the models say of clean examples, before the first attack.
        foretell: tells what the run is expected to take, by the fingerprints of its models.

    Raises:
        BadInput: when the folder holds a run already, holds none to resume, or cannot be written;
            when another driver is at work on it, or its plan was edited.
        Refused: when the models lack classes of the examples, or when ``decide`` says so; a run
            that had just begun leaves no folder behind.
    """
    told, begun = Logged(progress or Silent()), time.perf_counter()
    store = RunFolder(folder)
    if resume and not store.holds_run():
        raise BadInput(Problem(folder, "nothing to resume: plan.json is missing"))
    if not resume:
        _refuse_occupied(folder)
    if obstacle := store.obstacle():
        raise BadInput(Problem(folder, obstacle))
    lock = Lock(store, told.note)
    with ExitStack() as stack:
        if resume:
            stack.enter_context(lock)
            _refuse_another(plan, store)
        models = engine(told)
        stack.callback(models.close)
        if not resume:
            # Not before the models are built: a run that could not begin leaves no folder.
            stack.enter_context(lock)
            _refuse_occupied(folder)
        try:
            with told.into(store):
                foretold = None if foretell is None else partial(foretell, plan)
                return Runner(plan, store, models, told, decide, lock.check, begun, foretold).run()
        except Refused:
            if not resume:
                store.withdraw()
            raise


def _refuse_occupied(folder: str) -> None:
    if held := occupied(folder):
        raise BadInput(Problem(folder, held))


def _refuse_another(plan: Plan, store: RunFolder) -> None:
    """Refuse to resume what cannot be, before anything is started for it."""
    if (record := Record.read(store)) is None:
        raise BadInput(Problem(store.location, records.FORMER))
    check_same(plan, store, record)
