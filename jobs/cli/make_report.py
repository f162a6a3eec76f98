"""What `gauntlet report` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gauntlet.jobs.cli.exit_status import Status, say
from gauntlet.jobs.cli.folders import make_room
from gauntlet.jobs.reports import seeds, summary
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.results.records import check_run


def make_report(
    folders: Sequence[str],
    *,
    csv: Path | None,
    targets: bool,
    steps: bool,
    against: str | None,
    plots: Path | None,
    html: Path | None,
) -> int:
    """Print a run's summary, or that of several runs, and write it."""
    try:
        for folder in folders:
            check_run(folder)
        if len(folders) > 1:
            _refuse_with_several(steps=steps, against=against, plots=plots, html=html)
        figures = Figures(Reading(folders[0]))
        if against is not None:
            summary.check_against(figures, against)
        # All that can be known to be wrong is said before the tables, which may be long.
        make_room({"--csv": csv, "--html": html}, {"--plots": plots})
        if len(folders) > 1:
            written = _report_several(folders, csv, targets)
        else:
            written = _report_one(figures, csv, targets, steps, against, plots, html)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(Problem("", str(error))) from None
    except OSError as error:
        place = str(error.filename or folders[0])
        raise BadInput(Problem(place, error.strerror or str(error))) from None
    for path in written:
        say(f"wrote {path}")
    return Status.DONE


def _refuse_with_several(**options: object) -> None:
    given = [f"--{name}" for name, value in options.items() if value]
    if given:
        verb = "is" if len(given) == 1 else "are"
        raise BadInput(Problem(", ".join(given), f"{verb} for one run; several runs were given"))


@contextmanager
def _written_by(option: str) -> Iterator[None]:
    """Name the option when what it asks for cannot be written."""
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise BadInput(Problem(option, f"{place}{error.strerror or error}")) from None


def _report_several(folders: Sequence[str], csv: Path | None, targets: bool) -> list[Path]:
    table = seeds.over_runs(folders)
    seeds.print_over_runs(folders, table, terminal(), targets)
    if csv is None:
        return []
    with _written_by("--csv"):
        seeds.write_csv_over_runs(table, csv)
    return [csv]


def _report_one(
    figures: Figures,
    csv: Path | None,
    targets: bool,
    steps: bool,
    against: str | None,
    plots: Path | None,
    html: Path | None,
) -> list[Path]:
    summary.print_report(figures, terminal(), targets, steps)
    if against is not None:
        summary.print_comparison(figures, against, terminal())
    written = []
    if csv is not None:
        with _written_by("--csv"):
            summary.write_csv(figures, csv, steps)
        written.append(csv)
    if plots is not None:
        from gauntlet.jobs.reports.plots import write_plots

        with _written_by("--plots"):
            written += write_plots(figures, plots)
    if html is not None:
        from gauntlet.jobs.reports.page import write_html

        with _written_by("--html"):
            write_html(figures, html)
        written.append(html)
    return written
