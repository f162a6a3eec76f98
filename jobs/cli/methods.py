"""`gauntlet methods`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import Status, end
from gauntlet.jobs.cli.options import AllowImports, Parts
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.problems import BadInput, Problem


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A part, or an attack's usual name.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/methods.md.")
    ] = False,
    parts: Parts = None,
    allow_imports: AllowImports = None,
    verify: Annotated[
        list[str] | None,
        typer.Option(
            "--verify",
            metavar="FILE.py|PACKAGE",
            help="Ask parts of your own whether they keep the laws of their place. Repeatable.",
        ),
    ] = None,
) -> None:
    """List the parts that attacks are put together from, or explain one.

    With --parts, and for packages that --allow-imports names, those of your own,
    too. --verify runs each on small images: results keep their shape and are
    finite, also on a zero gradient; they stay in the ball, are the same for the
    same key, and depend on nothing else of the batch. Status 1 where one does not.

    \b
    gauntlet methods            all parts, by their place in the loop
    gauntlet methods rgea       one part: what it computes, its options and defaults
    gauntlet methods PGD-l2     how a job writes an attack that has a name
    gauntlet methods --parts mine.py
    gauntlet methods --verify mine.py
    gauntlet methods --markdown > docs/methods.md
    """
    own = [*(parts or []), *(allow_imports or [])]
    end(_print, name, markdown, own, verify or [])


def _print(name: str | None, markdown: bool, own: Sequence[str], verify: Sequence[str]) -> int:
    from gauntlet.jobs.reference import catalogue
    from gauntlet.jobs.reference.own_rows import offers, rows

    if markdown and name is not None:
        raise BadInput(Problem("--markdown", f"is the page of all methods; leave out {name!r}"))
    if markdown:
        from gauntlet.jobs.reference import methods_page

        print(methods_page.markdown(), end="")
        return Status.DONE
    if verify:
        from gauntlet.jobs.cli.verify_parts import verify_parts

        return verify_parts(verify)
    found = rows(own)
    if name is None:
        catalogue.print_methods(found, terminal())
        for line in offers():
            terminal().print(line, style="dim")
    else:
        catalogue.print_method(name, found, terminal())
    return Status.DONE
