"""Tables that fit their window: names keep room, figures are whole, what is left out is said."""

from __future__ import annotations

from collections.abc import Sequence

from rich.padding import Padding

from gauntlet.jobs.reports.drawn_grid import print_grid, room_of
from gauntlet.jobs.reports.grid import EDGE, Column, Grid, grid_of
from gauntlet.jobs.reports.terminal import Terminal


def print_table(
    console: Terminal,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    nested: bool = False,
    elsewhere: str | None = None,
) -> None:
    """Print a table of any width on a console of any width.

    Args:
        console: where to.
        title: stands above it.
        columns: its columns, the names first.
        rows: a cell a column.
        nested: the rows come in groups, named by the first column. Its name is written once a
            group: beside its first row, or above it where there it would be broken, or would take
            the room of other columns.
        elsewhere: where the columns are that have no room: they are left out from the right, and
            said. Without it nothing is left out: each row is then a line with its name and, below
            it, everything else.
    """
    grid, room = grid_of(columns, rows), room_of(console)
    kept = grid.fitting(room)
    if kept < len(columns) and elsewhere is None:
        _print_records(console, title, grid)
        return
    shown = grid.first(kept)
    if nested:
        whole = kept == len(columns) and grid.widths(room)[0] == grid.wished(0)
        folded = grid.folded()
        inside = folded.fitting(room)
        if not whole and inside + 1 >= kept:
            shown, kept = folded.first(inside), inside + 1
        else:
            shown = shown.once()
    console.print(title, style="italic")
    console.print()
    print_grid(console, shown)
    if kept < len(columns):
        seen = {column.heading for column in shown.columns}
        left = [column.heading for column in columns[kept:] if column.heading not in seen]
        said = f"no room for {', '.join(left)} at {console.width} columns: {elsewhere}"
        console.print(said, style="dim")


def all_fit(console: Terminal, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether `print_table` would show every column of a nested table."""
    grid, room = grid_of(columns, rows), room_of(console)
    return len(columns) in (grid.fitting(room), grid.folded().fitting(room) + 1)


def _print_records(console: Terminal, title: str, grid: Grid) -> None:
    console.print(title, style="italic")
    console.print()
    for name, *cells in grid.rows:
        console.print(f"{EDGE}{name}", style="bold")
        pairs = zip(grid.columns[1:], cells, strict=True)
        said = "; ".join(f"{column.heading}: {cell}" for column, cell in pairs if cell)
        console.print(Padding(said, (0, 0, 0, 3)))
    console.print()
