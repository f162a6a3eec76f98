"""`gauntlet compact`."""

from __future__ import annotations

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import RunFolder


def compact(folder: RunFolder) -> None:
    """Put a finished run's tables into few files, sorted.

    Every run does so at its end, unless its disk has no room for a second copy of
    its largest table, or some of its units failed. This makes up for it.

    Rows are sorted by attack, target and example in files of 128 to 256 MB, so
    that filters on them read little else; one job always gives the same bytes.
    No row changes. A run that is compacted is left alone, and one that is
    interrupted on the way loses nothing: say it again.

    \b
    gauntlet compact runs/quickstart-20260131-120000
    """
    from gauntlet.jobs.cli.compact_run import compact_run

    end(compact_run, folder)
