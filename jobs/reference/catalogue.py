"""Lists of what jobs can use: attack parts and models."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from gauntlet.jobs.reference.index import OPEN, PLACES, MethodRow, SourceRow
from gauntlet.jobs.reports.grid import Column, names, texts
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.jobs.spec.named_attacks import NAMES, Named, find_named
from gauntlet.pipeline.problems import BadInput, Problem, suggest

MANY = "gauntlet models --all"
"""Says where the names are that a table cannot take."""
_COLUMNS = (
    ("name", 17, 17),
    ("what", 38, 22),
    ("defaults", 28, 12),
    ("passes", 17, 8),
    ("needs", 17, 16),
    ("paper", 14, 10),
)
"""Heading, width wanted, least width: no name and hardly any word is broken."""


def print_methods(found: Sequence[MethodRow], console: Terminal) -> None:
    """Print every part by its place in the loop."""
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
            if row.place == place:
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


def _cells(row: MethodRow, count: int) -> list[str]:
    """Return a row's first cells; what has no column of its own stands under what the part is."""
    source = "; ".join(filter(None, (row.paper, row.origin)))
    cells = [row.name, row.what, row.defaults, row.cost, row.needs, source]
    folded = zip(_COLUMNS[count:], cells[count:], strict=True)
    cells[1] = "\n".join([row.what, *(f"{name}: {cell}" for (name, *_), cell in folded if cell)])
    return [cell.replace("`", "") for cell in cells[:count]]


def print_method(name: str, known: Sequence[MethodRow], console: Terminal) -> None:
    """Print one part, its options and an attack with it; or how a job writes a known attack.

    Args:
        name: of either, in any case; what follows a ``/``, as in ``torchjd/upgrad``, is not read.
        known: all methods.
        console: where to print.

    Raises:
        BadInput: when there is no such part or attack.
    """
    token = name.lower().partition("/")[0]
    parts = [row for row in known if row.place is not None]
    found = [row for row in parts if row.name == token]
    named = find_named(name)
    if not found and named is None:
        tokens = sorted({row.name for row in parts})
        others = sorted({n for k in NAMES for n in k.names if n.lower() not in tokens})
        # After a near name, the hundred others would only hide it.
        words, near, _ = suggest(name, [*tokens, *others], "method").partition("? known: ")
        renewed = "a part of your own: name its file with `--parts`"
        found_near = f"{words}? `gauntlet methods` lists all"
        raise BadInput(Problem("", f"{found_near if near else words}; {renewed}"))
    for row in found:
        _print_part(row, console)
    if named is not None:
        _print_named(named, console)


def _print_named(named: Named, console: Terminal) -> None:
    console.print(", ".join(named.names), style="bold")
    for line in (f"in a job: - {named.attack}" if named.attack else "", named.remark):
        if line:
            console.print(line.replace("`", ""), soft_wrap=True)


def _print_part(part: MethodRow, console: Terminal) -> None:
    console.print(part.name, style="bold", end="  ")
    console.print(", ".join(filter(None, (part.place, part.paper, part.origin))))
    console.print()
    console.print(part.text.replace("`", ""))
    console.print()
    console.print(f"passes an update: {part.cost}")
    if part.needs:
        console.print(f"needs: {part.needs}")
    console.print(f"in a job: {part.example}", soft_wrap=True)
    console.print()
    if not part.options:
        console.print("no options")
        console.print()
        return
    columns = [*names("option"), *texts("type", "default"), Column("meaning", 20)]
    cells = [
        [cell.replace("`", "") for cell in (row.name, row.type, row.default, row.meaning)]
        for row in part.options
    ]
    print_table(console, f"options: {{{part.name}: {{...}}}}", columns, cells)


def print_models(sources: Sequence[SourceRow], layouts: int, console: Terminal) -> None:
    """Print the sources of models, and the names that each knows.

    Args:
        sources: what there is.
        layouts: different layouts of weights that files can have.
        console: where to print.
    """
    rows = [
        [source.form, source.what, MANY if source.names is None else ", ".join(source.names)]
        for source in sources
    ]
    print_table(console, "sources of models", names("source", "what", "names"), rows)
    files = sum(len(row.names or ()) for row in sources if row.form == "file:PATH")
    console.print(
        f"file: {files} architectures, {layouts} layouts of weights load key by key; "
        "docs/faces.md: channel order, scale, published files and figures",
        style="dim",
    )


def print_models_with(word: str, sources: Sequence[SourceRow], console: Terminal) -> None:
    """Print the models that have a word in their name, as a job writes them.

    Args:
        word: the word, in any case.
        sources: with all names that they know.
        console: where to print.

    Raises:
        BadInput: when no name has it.
    """
    found = [
        row.form.removesuffix("NAME") + name
        if row.form.endswith("/NAME")
        else f"{row.form}  architecture: {name}"
        for row in sources
        for name in row.names or ()
        if word.lower() in name.lower()
    ]
    if not found:
        what = f"no model has {word!r} in its name; `gauntlet models` lists where models come from"
        raise BadInput(Problem("", what))
    console.print("\n".join(found))
