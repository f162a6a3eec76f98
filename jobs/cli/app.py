"""The `gauntlet` command, put together: a file each for its commands and groups of commands."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from gauntlet.jobs.cli.attach import attach
from gauntlet.jobs.cli.calibrate import calibrate
from gauntlet.jobs.cli.check import check
from gauntlet.jobs.cli.compact import compact
from gauntlet.jobs.cli.compare import compare
from gauntlet.jobs.cli.data import data
from gauntlet.jobs.cli.exit_status import IN_HELP, Status
from gauntlet.jobs.cli.heads import heads
from gauntlet.jobs.cli.methods import methods
from gauntlet.jobs.cli.models import models
from gauntlet.jobs.cli.pictures import pictures
from gauntlet.jobs.cli.plan import plan
from gauntlet.jobs.cli.report import report
from gauntlet.jobs.cli.resume import resume
from gauntlet.jobs.cli.run import run
from gauntlet.jobs.cli.schema import schema
from gauntlet.jobs.cli.signals import leave
from gauntlet.jobs.cli.status import status
from gauntlet.jobs.cli.submit import submit
from gauntlet.jobs.cli.surrogates import surrogates
from gauntlet.jobs.cli.verify import verify
from gauntlet.jobs.cli.zoo import zoo

# The files of the commands hold signatures and help. What a command does is imported when it is
# called: torch alone takes seconds, and `--help` should not wait for it.

app = typer.Typer(
    name="gauntlet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=IN_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gauntlet {metadata.version('gauntlet')}")
        raise typer.Exit


@app.callback()
def gauntlet(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print it.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Transferable adversarial attacks at scale.

    A job file names surrogates, targets, data and attacks. A run attacks every
    example with every attack and records how each target answers.

    \b
    gauntlet check quickstart    what a job would do, or what is wrong with it
    gauntlet plan quickstart     what a run would cost: places, files, time
    gauntlet run quickstart      do it (half a minute; `demo`: a few)
    gauntlet report runs/NAME    how often each attack fooled each target
    gauntlet compare A B         two runs on what they share
    gauntlet verify runs/NAME    whether the run is what it says
    gauntlet schema              every field of a job file
    """


for command in (
    run,
    resume,
    status,
    submit,
    attach,
    check,
    plan,
    calibrate,
    compact,
    verify,
    methods,
    report,
    compare,
    pictures,
    schema,
):
    app.command()(command)
for group in (zoo, heads, data, surrogates, models):
    app.add_typer(group)


def _say_how_commands_end(group: typer.Typer) -> None:
    """Let the help of every command end with the exit statuses."""
    for command in group.registered_commands:
        command.epilog = IN_HELP
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        _say_how_commands_end(inner.typer_instance)


_say_how_commands_end(app)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code not in (Status.DONE, Status.REFUSED):
            leave(ended.code)
        raise


if __name__ == "__main__":
    main()
