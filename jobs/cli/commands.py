"""What each verb of the command line does."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, ParamSpec

import typer

from gauntlet.actors.engine import RayEngine
from gauntlet.actors.launch import foresee, launch, look
from gauntlet.jobs.cli.ending import begun, failed_units, how_to_go_on, in_short
from gauntlet.jobs.cli.folders import find_job, make_room, new_run_folder
from gauntlet.jobs.cli.progress import shown_on
from gauntlet.jobs.cli.status import Status, Terminated, termination_raised
from gauntlet.jobs.reference import catalogue, resolved
from gauntlet.jobs.reference import job_page as reference
from gauntlet.jobs.reports import seeds
from gauntlet.jobs.reports import summary as reports
from gauntlet.jobs.reports.doubts import decide_on, print_probe, strictly_refused
from gauntlet.jobs.reports.terminal import Terminal, terminal
from gauntlet.jobs.spec import loading
from gauntlet.jobs.spec.loading import LoadedJob
from gauntlet.jobs.spec.overrides import Override
from gauntlet.pipeline.models.sources.permission import Permission, granted
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.records import check_run, units_of_complete
from gauntlet.pipeline.run.plan import Plan, plan_of

SHOWN_PROBLEMS = 20
"""Problems that are printed; the rest are of the same kinds, or come up again."""

Arguments = ParamSpec("Arguments")


def _console(stderr: bool = False) -> Terminal:
    return terminal(stderr)


def end(
    command: Callable[Arguments, int], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> NoReturn:
    """Do a command and leave with its exit status; bad input is listed, one problem a line.

    Of more problems than a person reads at once the first are printed, and how many there are.
    """
    try:
        with termination_raised():
            status = command(*args, **kwargs)
    except BadInput as error:
        for problem in error.problems[:SHOWN_PROBLEMS]:
            _say(str(problem))
        count = len(error.problems)
        if count > 1:
            first = f"; the first {SHOWN_PROBLEMS} are shown" if count > SHOWN_PROBLEMS else ""
            text = f"{count:,} problems{first}"
            _console(stderr=True).print(text, style="bold", highlight=False)
        status = Status.REFUSED
    except KeyboardInterrupt as error:
        status = _said(error)
    except Exception:
        # Python's own status would be that of a run with failed units.
        traceback.print_exc()
        status = Status.STOPPED
    raise typer.Exit(int(status))


def _say(text: str) -> None:
    _console(stderr=True).print(text, soft_wrap=True)


def _said(error: KeyboardInterrupt, how_to_go_on: str = "") -> Status:
    """Say what ended a command, and return its status."""
    status = Status.TERMINATED if isinstance(error, Terminated) else Status.INTERRUPTED
    _say(f"{status.name.lower()}{how_to_go_on and '; '}{how_to_go_on}")
    return status


def run(
    job: str,
    out: str | None,
    changes: Sequence[str],
    address: str | None,
    placement: str | None,
    yes: bool,
    strict: bool,
    allowed: Sequence[str],
) -> int:
    """Run a job in a new folder."""
    _refuse_both(yes, strict)
    loaded = loading.open_job(find_job(job), _changes(changes, placement), allowed)
    folder, problems = _ready(loaded, out, address)
    if address is None:
        problems += _placed(loaded.plan, None)[1]
    if problems:
        raise BadInput(problems)
    permission = loaded.permission
    return _carry_out(loaded.plan, folder, address, permission, yes, strict, again=False)


def _ready(loaded: LoadedJob, out: str | None, address: str | None) -> tuple[str, list[Problem]]:
    """Return the folder of a new run, and all that stands in its way beside the job itself."""
    # Not among the job's own checks: `gauntlet heads train` opens the job before there are heads.
    from gauntlet.jobs.cli import train_heads as heads_commands

    problems = heads_commands.check(loaded) + _in_process_with(address, loaded.plan)
    place = "output" if out is None else "--out"
    try:
        folder = new_run_folder(loaded.plan.name, loaded.output, out)
        if obstacle := RunFolder(folder).obstacle():
            problems.append(Problem(place, obstacle))
    except BadInput as error:
        problems += error.problems
        folder = ""
    except OSError as error:  # of an object store
        problems.append(Problem(place, str(error)))
        folder = ""
    return folder, problems


def _placed(plan: Plan, address: str | None) -> tuple[str, list[Problem]]:
    """Return where a plan would be worked on, and what would not fit there."""
    try:
        return foresee(plan, address), []
    except BadInput as error:
        return "", list(error.problems)


def resume(
    folder: str, address: str | None, yes: bool, strict: bool, allowed: Sequence[str]
) -> int:
    """Go on with the run in a folder, whose plan does not say what code it may run."""
    _refuse_both(yes, strict)
    check_run(folder)
    plan = plan_of(folder)
    permission = granted(allowed)
    if problems := _in_process_with(address, plan):
        raise BadInput(problems)
    units = units_of_complete(folder)
    if units is None:
        return _carry_out(plan, folder, address, permission, yes, strict, again=True)
    _say(f"nothing left to do: all {units} units are finished")
    reports.print_report(folder, _console())
    return Status.DONE


def _in_process_with(address: str | None, plan: Plan) -> list[Problem]:
    if address is None or plan.resources.placement != "in-process":
        return []
    what = (
        "placement in-process works without Ray; choose auto, packed or pinned, "
        "or leave --address out"
    )
    return [Problem("--address", what)]


def _refuse_both(yes: bool, strict: bool) -> None:
    if yes and strict:
        what = "--yes goes on whatever the models say, --strict does not; give one of them"
        raise BadInput(Problem("--yes, --strict", what))


def _carry_out(
    plan: Plan,
    folder: str,
    address: str | None,
    permission: Permission,
    yes: bool,
    strict: bool,
    again: bool,
) -> int:
    errors = _console(stderr=True)
    try:
        with shown_on(errors) as progress:
            progress.note(f"run folder: {folder}")
            outcome = launch(
                plan,
                folder,
                progress=progress,
                address=address,
                resume=again,
                decide=decide_on(progress, errors, yes, strict),
                permission=permission,
            )
    except BadInput:
        raise
    except KeyboardInterrupt as error:
        return _said(error, how_to_go_on(folder))
    except (OSError, *RayEngine.losses) as error:
        return _stopped(folder, f"stopped: {in_short(str(error))}; ")
    except Exception:
        traceback.print_exc()
        return _stopped(folder, "stopped; its cause mended, ")
    reports.print_report(folder, _console())
    if not outcome.units_failed:
        return Status.DONE
    for line in failed_units(outcome, folder):
        _say(line)
    return Status.INCOMPLETE


def _stopped(folder: str, what: str) -> Status:
    _say(f"{what}{how_to_go_on(folder)}")
    return Status.STOPPED if begun(folder) else Status.REFUSED


def check(
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
    loaded = loading.open_job(find_job(job), _changes(changes, placement), allowed)
    folder, problems = _ready(loaded, out, address)
    where, misplaced = _placed(loaded.plan, address)
    if problems := problems + misplaced:
        raise BadInput(problems)
    resolved.print_plan(loaded.plan, loaded.permission, _console())
    place = loaded.output if out is None else folder
    resolved.print_place(loaded.plan, where, place, _console())
    if probe:
        with shown_on(_console(stderr=True)) as progress:
            found = look(
                loaded.plan, progress=progress, address=address, permission=loaded.permission
            )
        print_probe(found, _console())
        if strict and found.asks:
            raise strictly_refused()
    return Status.DONE


def _changes(changes: Sequence[str], placement: str | None) -> list[str | Override]:
    """Return what the options change in the job."""
    overrides: list[str | Override] = list(changes)
    if placement is not None:
        overrides.append(Override(("resources", "placement"), placement, "--placement"))
    return overrides


def methods(name: str | None, markdown: bool) -> int:
    """Print the catalogue of parts, or one part."""
    if markdown and name is not None:
        raise BadInput(Problem("--markdown", f"is the page of all methods; leave out {name!r}"))
    if markdown:
        from gauntlet.jobs.reference import methods_page

        print(methods_page.markdown(), end="")
    elif name is None:
        catalogue.print_methods(_console())
    else:
        catalogue.print_method(name, _console())
    return Status.DONE


def models() -> int:
    """Print the catalogue of models."""
    catalogue.print_models(_console())
    return Status.DONE


def inspect_model(
    model: str,
    surgery: str,
    layers: bool,
    size: int | None,
    architecture: str | None,
    key: str | None,
    allowed: Sequence[str],
) -> int:
    """Print what is inside a model."""
    from gauntlet.jobs.reference.network import inspect

    inspect(
        model,
        _console(),
        surgery=surgery,
        list_layers=layers,
        size=size,
        architecture=architecture,
        key=key,
        permission=granted(allowed),
    )
    return Status.DONE


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
        _say(f"wrote {path}")
    return Status.DONE


def pictures(folder: str, out: Path, attacks: Sequence[str], examples: int) -> int:
    """Draw what a run's attacks changed."""
    from gauntlet.jobs.reports.pictures import write_pictures

    try:
        write_pictures(folder, out, attacks, examples)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(Problem("", str(error))) from None
    except OSError as error:
        raise BadInput(Problem(str(out), error.strerror or str(error))) from None
    _say(f"wrote {out}")
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
        from gauntlet.jobs.reports.plots import write_plots

        with _written_by("--plots"):
            written += write_plots(folder, plots)
    if html is not None:
        from gauntlet.jobs.reports.page import write_html

        with _written_by("--html"):
            write_html(folder, html)
        written.append(html)
    return written


def schema() -> int:
    """Print the reference page."""
    print(reference.markdown(), end="")
    return Status.DONE
