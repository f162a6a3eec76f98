"""A job as plain data that remembers its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Where: TypeAlias = tuple[str | int, ...]
"""A place in a job: keys and list positions from the top, such as ``("attacks", 1, "base")``."""


def dotted(where: Where) -> str:
    """Write a place as people do: ``attacks[1].base``."""
    text = ""
    for key in where:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


@dataclass(frozen=True)
class Document:
    """A job file's content, and where each value was written.

    Attributes:
        name: the file, as the person named it.
        data: mappings, lists, text, numbers, booleans and None.
        lines: line of each place that the file has, counted from 1; none where there is no file.
        overrides: places that the command line replaced, and the option that did.
    """

    name: str
    data: Any
    lines: dict[Where, int]
    overrides: dict[Where, str] = field(default_factory=dict)

    def line(self, where: Where) -> int:
        """Return the line of a place, or of the closest one around it that the file has."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def describe(self, where: Where) -> str:
        """Return ``file:line: field`` of a place, or the option that set it."""
        for depth in range(len(where), 0, -1):
            option = self.overrides.get(where[:depth])
            if option is not None:
                return option if depth == len(where) else f"{option}: {dotted(where)}"
        place = f"{self.name}:{self.line(where)}" if self.lines else self.name
        return f"{place}: {dotted(where)}" if where else place
