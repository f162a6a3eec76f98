"""Taking a run up: its record is begun, or compared with the plan and with what lies there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import Damage, difference_words, examine
from gauntlet.pipeline.results.record.entries import Begun, digest_of
from gauntlet.pipeline.results.record.mending import mend
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.plan import ELSEWHERE, Plan, recorded

CHANGEABLE = ("root", *(f"resources.{name}" for name in ELSEWHERE))
"""What of a plan may change while a run is not complete."""


def taken_up(
    plan: Plan, folder: RunFolder, progress: Progress, guard: Callable[[], None] | None
) -> tuple[Record, Damage]:
    """Return a run's record, and what was found damaged and counts no more.

    Args:
        plan: what is to be done.
        folder: the run's; without a record the run begins now.
        progress: hears what was damaged.
        guard: asked before every entry; raises when this process may write none.

    Raises:
        BadInput: when the folder's run is another one.
    """
    record = Record.read(folder)
    if record is None:
        record = Record(folder)
        if guard is not None:
            record.guard = guard
        content = plan.model_dump(mode="json")
        version = metadata.version("gauntlet")
        record.append(Begun(version=version, plan=content, digest=digest_of(plan.what)))
        write_plan(folder, content)
        return record, Damage(folder.location)
    if guard is not None:
        record.guard = guard
    check_same(plan, folder, record)
    damage = examine(folder, record, lambda name: True)
    if damage:
        progress.warn(damage.line)
    folder.sweep()  # no carrier is at work yet
    mend(folder, record, damage)
    folder.place(record.files)
    assert record.begun is not None
    if (here := metadata.version("gauntlet")) != record.begun.version:
        progress.note(f"version {record.begun.version} began the run; {here} goes on with it")
    return record, damage


def check_same(plan: Plan, folder: RunFolder, record: Record) -> None:
    """Check that a plan does what the run in a folder does, wherever.

    Raises:
        BadInput: when the plans differ in what determines rows, or `plan.json` was edited.
    """
    before = recorded(folder, record).what
    if differing := difference_words(before, plan.what):
        what = (
            f"cannot resume with another plan: {', '.join(differing)}; of a run that has begun "
            f"only {', '.join(CHANGEABLE)} can be changed"
        )
        raise BadInput(Problem(folder.location, what))


def other_devices(before: Mapping[str, ModelCard], now: Mapping[str, ModelCard]) -> str:
    """Return what is to be said when a run's models are on another kind of device than before.

    Args:
        before: the models' cards as an earlier attempt recorded them, by role and name.
        now: those of this attempt.
    """
    for what in ("hardware", "device"):  # the first is not said by runs of every version
        then, here = (
            {kind for card in cards.values() if (kind := getattr(card, what, None)) is not None}
            for cards in (before, now)
        )
        if then and here and then != here:
            began, on = (" and ".join(sorted(kinds)) for kinds in (then, here))
            return (
                f"the run began on {began} and goes on on {on}: numbers are added up in another "
                "order there, so that scores of its rows differ in their last digits, and pixels "
                "where the sign of a gradient hung on that"
            )
    return ""


def write_plan(folder: RunFolder, content: Mapping[str, Any]) -> None:
    """Write `plan.json`, for people, unless it is there."""
    text = json.dumps(content, indent=2).encode()
    if not folder.exists("plan.json") or folder.read("plan.json") != text:
        folder.write("plan.json", text)
