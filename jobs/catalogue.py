"""Lists of what jobs can use: attack parts and models."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from pydantic import BaseModel
from rich.box import SIMPLE, SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.method_rows import OPEN, PLACES, in_a_job, needs, rows
from jobs.names import NAMES, Named, find_named
from jobs.reference import default_words, meaning, type_words
from pipeline.attacks.part import Part, catalogue
from pipeline.models import build
from pipeline.problems import BadInput, Problem, suggest

MOST_NAMES = 12
"""Names of one source that a table can take."""
_COLUMNS = (
    ("name", 17, 17),
    ("what", 38, 12),
    ("defaults", 28, 12),
    ("passes", 17, 8),
    ("needs", 17, 16),
    ("paper", 14, 10),
)
"""Heading, share of the width, least width: no name and hardly any word is broken."""


def print_methods(console: Console) -> None:
    """Print every part by its place in the loop."""
    found = rows()
    for place, heading in PLACES.items():
        table = Table(
            title=heading.replace("`", ""),
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
            expand=True,  # all tables have the same columns, so that the eye can follow them down
        )
        for name, share, least in _COLUMNS:
            table.add_column(name, overflow="fold", ratio=share, min_width=least)
        for row in found:
            if row.place is place:
                cells = (row.name, row.what, row.defaults, row.cost, row.needs, row.paper)
                table.add_row(*(escape(cell.replace("`", "")) for cell in cells))
        console.print(table)
    for line in (
        f"{OPEN}: found from the network or the other options. Passes: forward + backward an "
        "update, k surrogates; views multiply.",
        "gauntlet methods NAME: one part, or a known attack such as PGD-l2, DIM or HybridIR, and "
        "how a job writes it.",
    ):
        console.print(line, style="dim", markup=False, highlight=False)


def print_method(name: str, console: Console) -> None:
    """Print one part, its options and an attack with it; or how a job writes a known attack.

    Args:
        name: of either, in any case; what follows a ``/``, as in ``torchjd/upgrad``, is not read.
        console: where to print.

    Raises:
        BadInput: when there is no such part or attack.
    """
    token = name.lower().partition("/")[0]
    found = [part for part in catalogue() if part.token == token]
    named = find_named(name)
    if not found and named is None:
        known = sorted({part.token for part in catalogue()} | {n for k in NAMES for n in k.names})
        # After a near name, the hundred others would only hide it.
        words, near, _ = suggest(name, known, "method").partition("? known: ")
        raise BadInput(Problem("", f"{words}? `gauntlet methods` lists all" if near else words))
    for part in found:
        _print_part(part, console)
    if named is not None:
        _print_named(named, console)


def _print_named(named: Named, console: Console) -> None:
    console.print(f"[bold]{escape(', '.join(named.names))}[/bold]", highlight=False)
    for line in (f"in a job: - {named.attack}" if named.attack else "", named.remark):
        if line:
            shown = line.replace("`", "")
            console.print(shown, markup=False, highlight=False, soft_wrap=True)


def _print_part(part: type[Part], console: Console) -> None:
    console.print(f"[bold]{escape(part.token)}[/bold]  {part.place.value}, {escape(part.paper)}")
    console.print()
    text = inspect.cleandoc(part.__doc__ or "").replace("`", "")
    console.print(text, markup=False, highlight=False)
    console.print()
    console.print(f"passes an update: {part.cost}", markup=False, highlight=False)
    if wanted := needs(part):
        console.print(f"needs: {wanted}", markup=False, highlight=False)
    console.print(f"in a job: {in_a_job(part)}", markup=False, highlight=False, soft_wrap=True)
    console.print()
    if not part.model_fields:
        console.print("no options")
        console.print()
        return
    table = _table(f"options: {{{part.token}: {{...}}}}", ("option", "type", "default", "meaning"))
    for row in _option_rows(part):
        table.add_row(*(escape(cell.replace("`", "")) for cell in row))
    console.print(table)


def _option_rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", type_words(field), default_words(field), meaning(field)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _option_rows(inner, f"{prefix}{name}.")


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
