"""What `gauntlet compact` does."""

from __future__ import annotations

from shlex import quote

from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.readable import reading
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.results import RunFolder, manifest
from gauntlet.pipeline.results.compaction import Change, compact
from gauntlet.pipeline.results.lock import Lock
from gauntlet.pipeline.results.patience import Insist
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import examine
from gauntlet.pipeline.results.records import check_run
from gauntlet.pipeline.run.pauses import Pauses

FORMER = (
    "a run of version 0.1 stays as it is: without a record, an interruption would lose or double "
    "rows"
)


def compact_run(location: str) -> int:
    """Compact the run in a folder, and print what that made of its tables."""
    check_run(location)
    folder = RunFolder(location)
    if folder.is_former():
        raise BadInput(Problem(location, FORMER))
    held = manifest(location)
    if held.finished is None:
        what = (
            f"is not finished: `gauntlet resume {quote(location)}` goes on with it, and compacts "
            "it in the end"
        )
        raise BadInput(Problem(location, what))
    if obstacle := folder.obstacle():
        raise BadInput(Problem(location, obstacle))
    known = held.resources.get("storage_patience_s")  # not in those of earlier versions
    seconds = known if isinstance(known, int | float) else 0.0
    with shown_on(terminal(stderr=True)) as progress, Lock(folder, progress.note) as lock:
        insist = Pauses(seconds, progress.note).patience(location).insist
        changes = _compacted(folder, lock, progress, insist)
    out = terminal()
    for change in changes:
        out.print(_line(change), highlight=False, soft_wrap=True)
    if not changes:
        out.print("there was nothing to compact", highlight=False)
    return Status.DONE


def _compacted(folder: RunFolder, lock: Lock, progress: Progress, insist: Insist) -> list[Change]:
    with reading(folder.location):
        record = Record.read(folder)
    assert record is not None
    record.guard, record.insist = lock.check, insist
    damage = examine(folder, record, lambda name: True)
    if damage.files or damage.entries or damage.chosen or damage.plan:
        raise BadInput(Problem(folder.location, damage.line))
    for name in damage.unlisted:  # as an interrupted attempt leaves them
        folder.delete(name)
    return compact(folder, record, progress, insist=insist)


def _line(change: Change) -> str:
    before, after = (
        f"{files:,} file{'' if files == 1 else 's'}, {size / 2**20:,.1f} MB"
        for files, size in zip(change.files, change.bytes, strict=True)
    )
    return f"{change.table}: {before} -> {after}"
