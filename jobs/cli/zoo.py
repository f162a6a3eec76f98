"""`gauntlet zoo`: training the bundled networks anew, and their page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end

zoo = typer.Typer(
    name="zoo",
    help="Train the bundled face networks anew, or print their table.",
    no_args_is_help=True,
)


@zoo.command()
def train(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Train this network only. Repeatable."),
    ] = None,
    smoke: Annotated[
        bool,
        typer.Option("--smoke", help="A few updates on a few faces; fails if the loss stays."),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(help="Keep finished networks and go on with unfinished ones."),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the weights. Default: the package's own."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of rendered faces (0.3 GB) and checkpoints. "
            "Default: gauntlet/zoo in the user's cache.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train the bundled networks from rendered faces: a few minutes of one core each.

    Interrupted by Ctrl-C or a kill, it goes on where it stopped when called
    again, and ends with the weights it would have ended with. More threads change
    the last digits, and so the weights.

    \b
    gauntlet zoo train --smoke
    gauntlet zoo train --only s1 --only n1
    gauntlet zoo train --out weights --cache faces
    """
    from gauntlet.jobs.cli import train_zoo as zoo_commands

    end(zoo_commands.train, only or [], smoke, resume, out, cache, threads)


@zoo.command()
def table() -> None:
    """Print the page of the bundled networks, as Markdown.

    \b
    gauntlet zoo table > pipeline/models/zoo/README.md
    """
    from gauntlet.jobs.cli import train_zoo as zoo_commands

    end(zoo_commands.table)
