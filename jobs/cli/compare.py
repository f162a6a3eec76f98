"""`gauntlet compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end


def compare(
    folders: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Folders of two runs or more.")
    ],
    targets: Annotated[
        bool, typer.Option("--targets", help="Compare on every target, not on groups.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every figure as CSV, too.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Print only the table: csv, markdown, latex or json."),
    ] = None,
) -> None:
    """Compare runs on the attacks, targets and examples that they share.

    Runs of other budgets, defences, surrogates or seeds, or of last month:
    columns are runs, and the others' differences from the first, paired example
    by example, with intervals. Attacks are matched by label, else by base and
    rule; what is not shared is said. `gauntlet report RUN...` gives mean and
    deviation over seeds.

    \b
    gauntlet compare runs/eps-8 runs/eps-16
    gauntlet compare runs/before runs/after --targets --format markdown
    """
    from gauntlet.jobs.cli.compare_runs import compare_runs

    end(compare_runs, folders, targets=targets, csv=csv, form=form)
