"""`gauntlet data`: what a job's data are, for the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import AllowImports

data = typer.Typer(
    name="data", no_args_is_help=True, help="Look at the data of a job before they are attacked."
)


@data.callback()
def group() -> None:
    """Look at the data of a job before they are attacked."""


@data.command()
def look(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A job file, or the name of a bundled job.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The picture to write: .png.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the job. Repeatable."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 40,
    columns: Annotated[int, typer.Option(min=2, max=50, help="Most images in a row.")] = 8,
    allow_imports: AllowImports = None,
) -> None:
    """Draw a contact sheet of a job's data, and say what was read.

    One row a class, with its label and name: images as the attacks get them,
    resized and cropped. Where there are more classes than rows, they are spread
    evenly over the labels, the first and the last among them. Of face pairs, one
    row a kind and fold.

    \b
    gauntlet data look job.yaml --out sheet.png
    gauntlet data look job.yaml --out sheet.png --rows 100 --columns 4
    """
    from gauntlet.jobs.cli.look_at_data import look as draw

    end(draw, job, changes or [], out, rows, columns, allow_imports or [])
