"""What `gauntlet report` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gauntlet.jobs.cli.exit_status import Status, say
from gauntlet.jobs.cli.folders import make_room
from gauntlet.jobs.reports import against as comparing
from gauntlet.jobs.reports import seeds, summary
from gauntlet.jobs.reports.arranging import matrix_of
from gauntlet.jobs.reports.doubts import print_damage, print_doubts
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.matrix import FIGURE, Matrix, View
from gauntlet.jobs.reports.matrix_formats import Format, List, format_named, formatted, listed_frame
from gauntlet.jobs.reports.matrix_text import print_matrix
from gauntlet.jobs.reports.passes import passes_matrix
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.results.records import check_run


@dataclass(frozen=True)
class Asked:
    """What a report is asked for; each field is an option of the command.

    Attributes:
        view: from --rows, --columns, --values, --intervals and --targets.
    """

    view: View
    csv: Path | None
    targets: bool
    form: Format | None
    long: bool
    steps: bool
    against: str | None
    plots: Path | None
    html: Path | None


def make_report(
    folders: Sequence[str],
    *,
    csv: Path | None = None,
    targets: bool = False,
    rows: str = "attack",
    columns: str | None = None,
    values: str = "success",
    intervals: bool = False,
    form: str | None = None,
    long: bool = False,
    steps: bool = False,
    against: str | None = None,
    plots: Path | None = None,
    html: Path | None = None,
) -> int:
    """Print a run's matrix, or that of several runs, and write it."""
    view = _view(rows, columns, values, intervals, targets)
    asked = Asked(view, csv, targets, format_named(form), long, steps, against, plots, html)
    try:
        for folder in folders:
            check_run(folder)
        if len(folders) > 1:
            _refuse_with_several(
                steps=steps, against=against, long=long, plots=plots, html=html,
                values="passes" if values == "passes" else None,
            )  # fmt: skip
        figures = Figures(Reading(folders[0]), FIGURE.get(view.values, "success"))
        if against is not None:
            comparing.check_against(figures, against)
        # All that can be known to be wrong is said before the tables, which may be long.
        make_room({"--csv": csv, "--html": html}, {"--plots": plots})
        if len(folders) > 1:
            written = _report_several(folders, asked, figures)
        else:
            written = _report_one(figures, asked)
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


def _view(rows: str, columns: str | None, values: str, intervals: bool, targets: bool) -> View:
    if values == "passes" and (rows != "attack" or columns is not None):
        what = "with --values passes rows are attacks, and columns surrogates"
        raise BadInput(Problem("--rows, --columns", what))
    if columns is None:
        columns = "group,target" if targets else "group"
        columns = ",".join(axis for axis in columns.split(",") if axis not in rows.split(","))
        columns = columns or "attack"
    across, down = (tuple(map(str.strip, axes.split(","))) for axes in (columns, rows))
    return View.of(down, across, values, intervals)


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


def _report_several(folders: Sequence[str], asked: Asked, first: Figures) -> list[Path]:
    table = seeds.over_runs(folders)
    matrix = seeds.matrix_over_runs(folders, table, asked.view, first.order_of_targets)
    if asked.form is not None:
        _print_alone(formatted(matrix, asked.form, asked.view.intervals))
    else:
        seeds.print_over_runs(folders, matrix, terminal())
    if asked.csv is None:
        return []
    with _written_by("--csv"):
        seeds.write_csv_over_runs(table, asked.csv)
    return [asked.csv]


def _report_one(figures: Figures, asked: Asked) -> list[Path]:
    compared = _comparisons(figures, asked)
    if asked.form is not None:
        _print_formatted(figures, asked, compared)
    elif asked.view.values == "passes":
        matrix = passes_matrix(figures.run)
        print_matrix(terminal(), matrix)
        for line in matrix.notes:
            terminal().print(line, style="dim")
    else:
        shown = terminal()
        summary.print_report(figures, shown, asked.view, asked.targets, asked.steps, asked.long)
        if asked.against is not None:
            comparing.print_against(compared[-1], asked.against, shown)
    written = []
    if asked.csv is not None:
        with _written_by("--csv"):
            summary.write_csv(figures, asked.csv, asked.steps, compared)
        written.append(asked.csv)
    if asked.plots is not None:
        from gauntlet.jobs.reports.plots import write_plots

        with _written_by("--plots"):
            written += write_plots(figures, asked.plots)
    if asked.html is not None:
        from gauntlet.jobs.reports.page import write_html

        with _written_by("--html"):
            write_html(figures, asked.html, compared)
        written.append(asked.html)
    return written


def _comparisons(figures: Figures, asked: Asked) -> list[pd.DataFrame]:
    """Return the comparisons that are asked for: of groups, then of targets."""
    if asked.against is None:
        return []
    levels = [False, True] if asked.targets else [False]
    return [comparing.against(figures, asked.against, level) for level in levels]


def _print_formatted(figures: Figures, asked: Asked, compared: Sequence[pd.DataFrame]) -> None:
    """Print the table alone, so that the output is a file of its format; doubts stand beside it."""
    assert asked.form is not None
    errors = terminal(stderr=True)
    print_doubts(figures.reading.manifest.warnings, errors)
    print_damage(figures.reading.damage, errors)
    matrix: Matrix
    if asked.view.values == "passes":
        matrix = passes_matrix(figures.run)
    elif figures.empty:
        raise ValueError(figures.why_empty)
    else:
        matrix = matrix_of(figures, asked.view)
    # Programs take figures, people take words.
    words = comparing.against_cells if asked.form in ("markdown", "latex") else listed_frame
    lists: list[List] = [words(table) for table in compared[-1:]]
    _print_alone(formatted(matrix, asked.form, asked.view.intervals, lists))


def _print_alone(text: str) -> None:
    terminal(soft_wrap=True).print(text, end="")
