"""What `gauntlet compare` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gauntlet.jobs.cli.exit_status import Status, say
from gauntlet.jobs.cli.folders import make_room
from gauntlet.jobs.reports.between import cells, print_side_by_side, side_by_side
from gauntlet.jobs.reports.doubts import print_warning
from gauntlet.jobs.reports.matrix_formats import format_named, listed, listed_frame
from gauntlet.jobs.reports.plain_text import spreadsheet_cell
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.records import check_run


def compare_runs(
    folders: Sequence[str], *, targets: bool, csv: Path | None, form: str | None
) -> int:
    """Print runs side by side, and write the figures."""
    wanted = format_named(form)
    for folder in folders:
        check_run(folder)
    make_room({"--csv": csv}, {})
    try:
        found = side_by_side(folders, targets)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(Problem("", str(error))) from None
    if wanted is None:
        print_side_by_side(found, targets, terminal())
    else:
        for line in found.remarks:
            print_warning(line, terminal(stderr=True))
        words = wanted in ("markdown", "latex")
        text = listed(*(cells(found, targets) if words else listed_frame(found.table)), wanted)
        terminal(soft_wrap=True).print(text, end="")
    if csv is not None:
        try:
            found.table.map(spreadsheet_cell).to_csv(csv, index=False)
        except OSError as error:
            raise BadInput(Problem("--csv", error.strerror or str(error))) from None
        say(f"wrote {csv}")
    return Status.DONE
