"""Lists of what jobs can use: attack parts and models."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.table import Table

from gauntlet.jobs.reference.job_page import default_words, meaning, type_words
from gauntlet.jobs.reference.method_rows import OPEN, PLACES, Row, in_a_job, needs, rows
from gauntlet.jobs.reference.named_attacks import NAMES, Named, find_named
from gauntlet.jobs.reports.tables import Column, names, print_table, texts
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.attacks.part import Part, catalogue
from gauntlet.pipeline.models import build
from gauntlet.pipeline.problems import BadInput, Problem, suggest

MOST_NAMES = 12
"""Names of one source that a table can take."""
_COLUMNS = (
    ("name", 17, 17),
    ("what", 38, 22),
    ("defaults", 28, 12),
    ("passes", 17, 8),
    ("needs", 17, 16),
    ("paper", 14, 10),
)
"""Heading, width wanted, least width: no name and hardly any word is broken."""


def print_methods(console: Terminal) -> None:
    """Print every part by its place in the loop."""
    found = rows()
    widths = _widths(console.width)
    for place, heading in PLACES.items():
        table = Table(
            title=heading.replace("`", ""),
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        # All tables have the same columns, so that the eye can follow them down.
        for (name, *_), width in zip(_COLUMNS, widths, strict=False):
            table.add_column(name, overflow="fold", width=width)
        for row in found:
            if row.place is place:
                table.add_row(*_cells(row, len(widths)))
        console.print(table)
    for line in (
        f"{OPEN}: found from the network or the other options. Passes: forward + backward an "
        "update, k surrogates; views multiply.",
        "gauntlet methods NAME: one part, or a known attack such as PGD-l2, DIM or HybridIR, and "
        "how a job writes it.",
    ):
        console.print(line, style="dim")


def _widths(room: int) -> list[int]:
    """Return the widths of the columns that there is room for, from the left; two at least."""
    for count in range(len(_COLUMNS), 1, -1):
        _, wanted, least = zip(*_COLUMNS[:count], strict=True)
        spare = room - sum(least) - 3 * (count - 1) - 2  # the gaps, and the edges
        if spare >= 0 or count == 2:
            break
    short = [most - few for most, few in zip(wanted, least, strict=True)]
    spare = max(spare, 0)
    return [few + spare * lack // sum(short) for few, lack in zip(least, short, strict=True)]


def _cells(row: Row, count: int) -> list[str]:
    """Return a row's first cells; what has no column of its own stands under what the part is."""
    cells = [row.name, row.what, row.defaults, row.cost, row.needs, row.paper]
    folded = zip(_COLUMNS[count:], cells[count:], strict=True)
    cells[1] = "\n".join([row.what, *(f"{name}: {cell}" for (name, *_), cell in folded if cell)])
    return [cell.replace("`", "") for cell in cells[:count]]


def print_method(name: str, console: Terminal) -> None:
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
        tokens = sorted({part.token for part in catalogue()})
        others = sorted({n for k in NAMES for n in k.names if n.lower() not in tokens})
        known = [*tokens, *others]
        # After a near name, the hundred others would only hide it.
        words, near, _ = suggest(name, known, "method").partition("? known: ")
        raise BadInput(Problem("", f"{words}? `gauntlet methods` lists all" if near else words))
    for part in found:
        _print_part(part, console)
    if named is not None:
        _print_named(named, console)


def _print_named(named: Named, console: Terminal) -> None:
    console.print(", ".join(named.names), style="bold")
    for line in (f"in a job: - {named.attack}" if named.attack else "", named.remark):
        if line:
            console.print(line.replace("`", ""), soft_wrap=True)


def _print_part(part: type[Part], console: Terminal) -> None:
    console.print(part.token, style="bold", end="  ")
    console.print(f"{part.place.value}, {part.paper}")
    console.print()
    text = inspect.cleandoc(part.__doc__ or "").replace("`", "")
    console.print(text)
    console.print()
    console.print(f"passes an update: {part.cost}")
    if wanted := needs(part):
        console.print(f"needs: {wanted}")
    console.print(f"in a job: {in_a_job(part)}", soft_wrap=True)
    console.print()
    if not part.model_fields:
        console.print("no options")
        console.print()
        return
    columns = [*names("option"), *texts("type", "default"), Column("meaning", 20)]
    cells = [[cell.replace("`", "") for cell in row] for row in _option_rows(part)]
    print_table(console, f"options: {{{part.token}: {{...}}}}", columns, cells)


def _option_rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", type_words(field), default_words(field), meaning(field)
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _option_rows(inner, f"{prefix}{name}.")


def print_models(console: Terminal) -> None:
    """Print the sources of models, and the names that each knows."""
    found = []
    for offer in build.offers():
        known = ", ".join(offer.names[:MOST_NAMES])
        if len(offer.names) > MOST_NAMES:
            known += f", ... ({len(offer.names):,} in all)"
        found.append([offer.form, offer.what, known])
    print_table(console, "sources of models", names("source", "what", "names"), found)
