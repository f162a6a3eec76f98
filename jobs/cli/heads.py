"""`gauntlet heads`: the small networks that `objective: fd` needs."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import AllowImports

heads = typer.Typer(
    name="heads",
    no_args_is_help=True,
    help="Train the heads that the attack objective fd needs.",
)


@heads.callback()
def group() -> None:
    """Train the heads that the attack objective fd needs."""


@heads.command()
def train(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A job file, or the name of a bundled job.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the job. Repeatable."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="JOB", help="A job whose data to train on. Default: the job's own source."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=4, help="Train on at most this many images.")] = 5000,
    allow_imports: AllowImports = None,
) -> None:
    """Train what the job's fd attacks need and does not exist yet.

    One head for each surrogate, layer and wanted class, on images of the job's
    source that the job does not attack. They are kept in the folder that the
    attack's option `heads` names.

    \b
    gauntlet heads train job.yaml
    gauntlet heads train job.yaml --limit 20000 --set attacks.0.options.fd.layer=layer3
    gauntlet heads train job.yaml --images training-set.yaml

    Not good enough is a head that tells its class from the others too badly to be
    used (AUC below 0.9).
    """
    from gauntlet.jobs.cli import train_heads as heads_commands

    end(heads_commands.train, job, changes or [], images, limit, allow_imports or [])
