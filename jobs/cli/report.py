"""`gauntlet report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end


def report(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Folder of a run; several: one job, other seeds."),
    ],
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rates as CSV, too.")
    ] = None,
    targets: Annotated[
        bool, typer.Option("--targets", help="Show every target, not only means of groups.")
    ] = False,
    rows: Annotated[
        str, typer.Option(metavar="NAMES", help="What rows are: see --columns.")
    ] = "attack",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="What columns are: attack, base, rule, norm, epsilon, group, target; several "
            "with commas. Default: group; with --targets: group,target.",
        ),
    ] = None,
    values: Annotated[
        str, typer.Option(help="What is shown: success, score, utility or passes.")
    ] = "success",
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Show those of single targets, too.")
    ] = False,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Print only the table: csv, markdown, latex or json."),
    ] = None,
    long: Annotated[
        bool,
        typer.Option("--long", help="A list of every figure: of all images, LOO, sizes, ..."),
    ] = False,
    steps: Annotated[
        bool,
        typer.Option("--steps", help="Show success against the step; the CSV has every step."),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="ATTACK",
            help="Compare every attack with this one, paired: in every output, and with "
            "--targets on every target.",
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the figures as SVG and PNG files.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write tables and figures as one page.")
    ] = None,
) -> None:
    """Print how often each attack fooled each target, as a matrix.

    The best of a column is in bold and marked *, and ~ what a paired test on
    the same examples does not tell from it. Also of a run that is still going
    on: of what is finished. Of several runs of one job with other seeds: mean
    and deviation; --steps, --against, --long, --plots and --html are for one
    run only. Runs that differ in more are for `gauntlet compare`.

    \b
    gauntlet report runs/quickstart-20260131-120000 --targets
    gauntlet report runs/first --rows rule --columns group,base
    gauntlet report runs/first --targets --format latex
    gauntlet report runs/quickstart-20260131-120000 --csv rates.csv
    gauntlet report runs/quickstart-20260131-120000 --against i/ens/linf-8
    gauntlet report runs/first --steps --html report.html
    gauntlet report runs/seed-0 runs/seed-1 runs/seed-2
    """
    from gauntlet.jobs.cli.make_report import make_report

    end(
        make_report,
        folders,
        csv=csv,
        targets=targets,
        rows=rows,
        columns=columns,
        values=values,
        intervals=intervals,
        form=form,
        long=long,
        steps=steps,
        against=against,
        plots=plots,
        html=html,
    )
