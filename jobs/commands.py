"""What each verb of the command line does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, ParamSpec

import typer
from rich.console import Console

from actors.launch import launch, read_plan, units_of_complete
from jobs import catalogue, loading, reference, resolved, seeds
from jobs import report as reports
from jobs.folders import check_run, find_job, make_room, new_run_folder
from jobs.loading import LoadedJob
from jobs.overrides import Override
from jobs.progress import shown_on
from pipeline.problems import BadInput, Problem
from pipeline.results import RunFolder
from pipeline.run.plan import Plan

OK, FAILED_UNITS, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

SHOWN_PROBLEMS = 20
"""Problems that are printed; the rest are of the same kinds, or come up again."""

Arguments = ParamSpec("Arguments")


LOG_WIDTH = 140
"""Columns where there is no terminal: tables in a log should not fold."""


def _console(stderr: bool = False) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=LOG_WIDTH)


def end(
    command: Callable[Arguments, int], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> NoReturn:
    """Do a command and leave with its exit code; bad input is listed, one problem a line.

    Of more problems than a person reads at once the first are printed, and how many there are.
    """
    try:
        code = command(*args, **kwargs)
    except BadInput as error:
        console = _console(stderr=True)
        for problem in error.problems[:SHOWN_PROBLEMS]:
            console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        count = len(error.problems)
        if count > 1:
            first = f"; the first {SHOWN_PROBLEMS} are shown" if count > SHOWN_PROBLEMS else ""
            console.print(f"{count:,} problems{first}", style="bold", highlight=False)
        code = BAD_INPUT
    raise typer.Exit(code)


def run(
    job: str, out: str | None, changes: Sequence[str], address: str | None, placement: str | None
) -> int:
    """Run a job in a new folder."""
    overrides: list[str | Override] = list(changes)
    if placement is not None:
        overrides.append(Override(("resources", "placement"), placement, "--placement"))
    loaded = loading.open_job(find_job(job), overrides)
    _refuse_without_heads(loaded)
    _refuse_address_in_process(loaded.plan, address)
    folder = new_run_folder(loaded.plan.name, loaded.output, out)
    if obstacle := RunFolder(folder).obstacle():
        raise BadInput(Problem("output" if out is None else "--out", obstacle))
    return _carry_out(loaded.plan, folder, address, again=False)


def resume(folder: str, address: str | None) -> int:
    """Go on with the run in a folder."""
    check_run(folder)
    plan = read_plan(folder)
    _refuse_address_in_process(plan, address)
    units = units_of_complete(folder)
    if units is None:
        return _carry_out(plan, folder, address, again=True)
    _console(stderr=True).print(
        f"nothing left to do: all {units} units are finished", markup=False, highlight=False
    )
    reports.print_report(folder, _console())
    return OK


def _refuse_address_in_process(plan: Plan, address: str | None) -> None:
    if address is not None and plan.resources.placement == "in-process":
        what = (
            "placement in-process works without Ray; choose auto, packed or pinned, "
            "or leave --address out"
        )
        raise BadInput(Problem("--address", what))


def _carry_out(plan: Plan, folder: str, address: str | None, again: bool) -> int:
    console, errors = _console(), _console(stderr=True)
    try:
        with shown_on(errors) as progress:
            progress.note(f"run folder: {folder}")
            outcome = launch(plan, folder, progress=progress, address=address, resume=again)
    except ConnectionError as error:
        what = f"no Ray cluster at {address or 'RAY_ADDRESS'}: {error}"
        raise BadInput(Problem("--address", what)) from None
    except KeyboardInterrupt:
        errors.print(
            f"interrupted; go on with: gauntlet resume {folder}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return INTERRUPTED
    reports.print_report(folder, console)
    if outcome.units_failed:
        errors.print(
            f"{outcome.units_failed} units of work failed; try them again with: "
            f"gauntlet resume {folder}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return FAILED_UNITS
    return OK


def check(job: str, changes: Sequence[str]) -> int:
    """Print what a job comes to."""
    loaded = loading.open_job(find_job(job), list(changes))
    _refuse_without_heads(loaded)
    resolved.print_plan(loaded.plan, _console())
    return OK


def _refuse_without_heads(loaded: LoadedJob) -> None:
    # Not among the job's own checks: `gauntlet heads train` opens the job before there are heads.
    from jobs import heads_commands

    if problems := heads_commands.check(loaded):
        raise BadInput(problems)


def methods(name: str | None, markdown: bool) -> int:
    """Print the catalogue of parts, or one part."""
    if markdown and name is not None:
        raise BadInput(Problem("--markdown", f"is the page of all methods; leave out {name!r}"))
    if markdown:
        from jobs import methods_page

        print(methods_page.markdown(), end="")
    elif name is None:
        catalogue.print_methods(_console())
    else:
        catalogue.print_method(name, _console())
    return OK


def models() -> int:
    """Print the catalogue of models."""
    catalogue.print_models(_console())
    return OK


def inspect_model(
    model: str, surgery: str, layers: bool, size: int | None, architecture: str | None
) -> int:
    """Print what is inside a model."""
    from jobs.inspect import inspect

    inspect(
        model,
        _console(),
        surgery=surgery,
        list_layers=layers,
        size=size,
        architecture=architecture,
    )
    return OK


def report(
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
        elif against is not None:
            reports.check_against(folders[0], against)
        # All that can be known to be wrong is said before the tables, which may be long.
        make_room({"--csv": csv, "--html": html}, {"--plots": plots})
        if len(folders) > 1:
            written = _report_several(folders, csv, targets)
        else:
            written = _report_one(folders[0], csv, targets, steps, against, plots, html)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(Problem("", str(error))) from None
    except OSError as error:
        place = str(error.filename or folders[0])
        raise BadInput(Problem(place, error.strerror or str(error))) from None
    for path in written:
        _console(stderr=True).print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
    return OK


def pictures(folder: str, out: Path, attacks: Sequence[str], examples: int) -> int:
    """Draw what a run's attacks changed."""
    from jobs.pictures import write_pictures

    try:
        write_pictures(folder, out, attacks, examples)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(Problem("", str(error))) from None
    except OSError as error:
        raise BadInput(Problem(str(out), error.strerror or str(error))) from None
    _console(stderr=True).print(f"wrote {out}", markup=False, highlight=False, soft_wrap=True)
    return OK


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
    seeds.print_over_runs(folders, _console(), targets)
    if csv is None:
        return []
    with _written_by("--csv"):
        seeds.write_csv_over_runs(folders, csv)
    return [csv]


def _report_one(
    folder: str,
    csv: Path | None,
    targets: bool,
    steps: bool,
    against: str | None,
    plots: Path | None,
    html: Path | None,
) -> list[Path]:
    reports.print_report(folder, _console(), targets, steps)
    if against is not None:
        reports.print_comparison(folder, against, _console())
    written = []
    if csv is not None:
        with _written_by("--csv"):
            reports.write_csv(folder, csv, steps)
        written.append(csv)
    if plots is not None:
        from jobs.plots import write_plots

        with _written_by("--plots"):
            written += write_plots(folder, plots)
    if html is not None:
        from jobs.html_report import write_html

        with _written_by("--html"):
            write_html(folder, html)
        written.append(html)
    return written


def schema() -> int:
    """Print the reference page."""
    print(reference.markdown(), end="")
    return OK
