"""Lists of what jobs can use: attack parts and models."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.reference import default_words, meaning, type_words
from pipeline.attacks.part import Part
from pipeline.attacks.part import catalogue as parts
from pipeline.models import build
from pipeline.problems import BadInput, Problem, suggest

MOST_NAMES = 12
"""Names of one source that a table can take."""


def print_methods(console: Console) -> None:
    """Print every part by its place in the loop."""
    headings = ("place", "name", "what", "paper", "passes per update", "needs")
    table = _table("parts of attacks", headings)
    previous = None
    for part in parts():
        table.add_row(
            part.place.value if part.place is not previous else "",
            part.token,
            escape(_first_sentence(part)),
            escape(part.paper),
            escape(part.cost),
            escape(part.needs),
        )
        previous = part.place
    console.print(table)
    console.print(
        "`base` joins start, views, filter and update, as in di-ti-mi; `combine` and `objective` "
        "take one each. gauntlet methods NAME shows the parameters.",
        style="dim",
        highlight=False,
    )


def print_method(name: str, console: Console) -> None:
    """Print one part: its documentation, and its parameters with their defaults.

    Raises:
        BadInput: when there is no such part.
    """
    found = [part for part in parts() if part.token == name.lower()]
    if not found:
        known = sorted({part.token for part in parts()})
        raise BadInput(Problem("", suggest(name, known, "method")))
    for part in found:
        console.print(
            f"[bold]{escape(part.token)}[/bold]  {part.place.value}, {escape(part.paper)}"
        )
        console.print()
        console.print(inspect.cleandoc(part.__doc__ or ""), markup=False, highlight=False)
        console.print()
        if not part.model_fields:
            console.print("no parameters")
            continue
        table = Table(
            title=f"options: {{{part.token}: {{...}}}}",
            title_justify="left",
            box=SIMPLE,
            pad_edge=False,
        )
        for heading in ("parameter", "type", "default", "meaning"):
            table.add_column(heading, overflow="fold")
        for field_name, field in part.model_fields.items():
            cells = (field_name, type_words(field), default_words(field), meaning(field))
            table.add_row(*(escape(cell.replace("`", "")) for cell in cells))
        console.print(table)


def _first_sentence(part: type[Part]) -> str:
    paragraph = inspect.cleandoc(part.__doc__ or "").split("\n\n")[0]
    return " ".join(paragraph.replace("``", "").split())


def print_models(console: Console) -> None:
    """Print the sources of models, and the names that each knows."""
    table = _table("sources of models", ("source", "what", "names"))
    for offer in build.catalogue():
        names = ", ".join(offer.names[:MOST_NAMES])
        if len(offer.names) > MOST_NAMES:
            names += f", ... ({len(offer.names):,} in all)"
        table.add_row(escape(offer.form), escape(offer.what), escape(names))
    console.print(table)


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
