"""What `gauntlet check` does."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from gauntlet.actors.launch import look
from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.cli.readiness import changed, placed, ready
from gauntlet.jobs.reference import resolved, to_fetch
from gauntlet.jobs.reports.doubts import print_probe, print_warning, strictly_refused
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.spec.loading import open_job
from gauntlet.jobs.spec.overrides import Override
from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.alignment.seen import look_for_faces
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.alternatives import Advice, advise

_LOOKED_AT = 16
"""Images in which faces are looked for."""


def check_job(
    job: str,
    changes: Sequence[str],
    out: str | None,
    address: str | None,
    placement: str | None,
    probe: bool,
    strict: bool,
    allowed: Sequence[str],
) -> int:
    """Print what a job comes to, and refuse what a run would refuse.

    On request the models are built and asked about clean examples, too.
    """
    if strict and not probe:
        raise BadInput(Problem("--strict", "is about what --probe finds; give both"))
    path, overrides = find_job(job), changed(changes, placement)
    called = shlex.join([job, *(word for change in changes for word in ("--set", change))])
    try:
        loaded = open_job(path, overrides, allowed)
    except BadInput:
        _say_what_is_missing(called, path, overrides, probe)
        raise
    folder, problems = ready(loaded, out, address)
    where, misplaced = placed(loaded.plan, address)
    if problems := problems + misplaced:
        raise BadInput(problems)
    resolved.print_plan(loaded.plan, loaded.permission, terminal())
    place = loaded.output if out is None else folder
    resolved.print_place(loaded.plan, where, place, terminal())
    to_fetch.print_to_fetch(loaded.plan, called, terminal())
    if probe:
        with shown_on(terminal(stderr=True)) as progress:
            found = look(
                loaded.plan,
                progress=progress,
                address=address,
                permission=loaded.permission,
                checked=True,
            )
        print_probe(found, terminal())
        if loaded.plan.task.kind is Task.VERIFICATION and any(m.suspicious for m in found.models):
            _say_whether_aligned(loaded.plan)
        rates = {
            one.name: one.accuracy.rate
            for one in found.models
            if one.accuracy is not None and not one.fits and one.excuse is None
        }
        meant_otherwise = _print_advice(advise(loaded.plan, loaded.permission, rates))
        if strict and (found.asks or meant_otherwise):
            raise strictly_refused()
    return Status.DONE


def _say_whether_aligned(plan: Plan) -> None:
    """Print where faces are in the images of a job whose models hardly tell people apart."""
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    terminal(soft_wrap=True).print(f"faces: {look_for_faces(examples, _LOOKED_AT)}")


def _say_what_is_missing(
    called: str, path: Path, overrides: Sequence[str | Override], probe: bool
) -> None:
    """Print what a refused job needs and this machine lacks, if it is a job at all.

    With `probe` also which published networks its files are of, where it was refused for that.
    """
    try:
        loaded = open_job(path, overrides, checks=())
        to_fetch.print_to_fetch(loaded.plan, called, terminal())
        if probe:
            _print_advice(advise(loaded.plan, loaded.permission, {}))
    except BadInput:
        return


def _print_advice(found: Iterable[Advice]) -> bool:
    """Print what is said of models as it is found, and return whether an entry is doubtful."""
    console, doubtful = terminal(), False
    for advice in found:
        if advice.doubtful:
            print_warning(advice.text, console)
        else:
            console.print(f"  {advice.text}", soft_wrap=True)
        doubtful |= advice.doubtful
    return doubtful
