"""`gauntlet methods`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import Status, end
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput, Problem


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A part, or an attack's usual name.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/methods.md.")
    ] = False,
) -> None:
    """List the parts that attacks are put together from, or explain one.

    \b
    gauntlet methods            all parts, by their place in the loop
    gauntlet methods rgea       one part: what it computes, its options and defaults
    gauntlet methods PGD-l2     how a job writes an attack that has a name
    gauntlet methods --markdown > docs/methods.md
    """
    end(_print, name, markdown)


def _print(name: str | None, markdown: bool) -> int:
    from gauntlet.jobs.reference import catalogue
    from gauntlet.jobs.reference.index import shipped

    if markdown and name is not None:
        raise BadInput(Problem("--markdown", f"is the page of all methods; leave out {name!r}"))
    if markdown:
        from gauntlet.jobs.reference import methods_page

        print(methods_page.markdown(), end="")
    elif name is None:
        catalogue.print_methods(shipped().methods, terminal())
    else:
        catalogue.print_method(name, shipped().methods, terminal())
    return Status.DONE
