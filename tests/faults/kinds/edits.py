"""What is done to files of a run that was killed, or is finished."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gauntlet.pipeline.results import parquet
from gauntlet.pipeline.results.record.entries import Commit, line_of, read_line
from tests.faults.case import Case
from tests.faults.fault import fault

ENDS = {-signal.SIGKILL, 0, 2}
"""Of the driver that is killed, or of the first `resume` where the run was finished."""


def settled(case: Case) -> None:
    """Have a run that was killed, or one that is finished."""
    if case.draws.random() < 0.5:
        with case.moment():
            case.send(signal.SIGKILL, "driver")
        case.stopped()
    else:
        case.note("finished")
        shutil.copytree(case.undisturbed.run, case.run)
    files = (path for path in case.run.rglob("*") if path.is_file())
    case.copies = {str(path.relative_to(case.run)): path.read_bytes() for path in files}


def edit(case: Case, change: Callable[[bytes], bytes | None], pattern: str = "*") -> None:
    """Change one file's content, each kind of file as often as another; None removes it."""
    settled(case)
    kinds: dict[str, list[Path]] = {}
    for path in sorted(case.run.rglob(pattern)):
        if path.is_file():
            kind = path.name if path.parent == case.run else path.parent.name
            kinds.setdefault(kind, []).append(path)
    if not kinds:
        case.note("no such file yet")
        return
    path = case.draws.choice(kinds[case.draws.choice(sorted(kinds))])
    case.note(str(path.relative_to(case.run)))
    if (content := change(path.read_bytes())) is None:
        path.unlink()
    else:
        path.write_bytes(content)
    case.harmed()


@fault("in-process", ends=ENDS)
def file_cut(case: Case) -> None:
    """A file of the run ends early."""
    edit(case, lambda content: content[: case.draws.randrange(max(1, len(content)))])


@fault("in-process", ends=ENDS)
def file_deleted(case: Case) -> None:
    """A file of the run is deleted."""
    edit(case, lambda content: None)


@fault("in-process", ends=ENDS)
def bit_flipped(case: Case) -> None:
    """A bit of a file of the run is another one."""

    def flip(content: bytes) -> bytes:
        found = bytearray(content)
        if found:
            found[case.draws.randrange(len(found))] ^= 1 << case.draws.randrange(8)
        return bytes(found)

    edit(case, flip)


@fault("in-process", ends=ENDS)
def rows_swapped(case: Case) -> None:
    """A file of a table has rows that look like these, with other values."""

    def swap(content: bytes) -> bytes:
        rows = pq.read_table(pa.BufferReader(content))
        for position, column in enumerate(rows.schema):
            if pa.types.is_floating(column.type):
                other = pa.chunked_array([rows[column.name].combine_chunks()[::-1]])
                rows = rows.set_column(position, column, other)
        table = "verdicts" if "target" in rows.schema.names else "traces"
        if "image" in rows.schema.names:
            table = "examples"
        return parquet.encoded(table, rows).to_pybytes()

    edit(case, swap, "*.parquet")


@fault("in-process", ends=ENDS)
def plan_edited(case: Case) -> None:
    """A number in `plan.json` is another one."""
    settled(case)
    path = case.run / "plan.json"
    plan = json.loads(path.read_text())
    field = case.draws.choice(["steps", "epsilon", "step_size", "seed"])
    where = plan if field == "seed" else case.draws.choice(plan["attacks"])
    where[field] = 1 if where[field] != 1 else 2
    case.note(field)
    path.write_text(json.dumps(plan))
    case.harmed()


@fault("in-process", ends=ENDS)
def commit_duplicated(case: Case) -> None:
    """A commit of the record is there twice, as it was or with its chain made to fit."""
    settled(case)
    lines = [(path, path.read_bytes()) for path in sorted((case.run / "record").glob("*.json"))]
    commits = [line for _, line in lines if isinstance(read_line(line)[0].entry, Commit)]
    if not commits:
        case.note("no commit yet")
        return
    line = case.draws.choice(commits)
    last, mark = read_line(lines[-1][1])
    if case.draws.random() < 0.5:
        case.note("with its chain")
        link = read_line(line)[0].model_copy(update={"number": last.number + 1, "before": mark})
        line = line_of(link)
    (case.run / "record" / f"{last.number + 1:06d}.json").write_bytes(line)
    case.harmed()
