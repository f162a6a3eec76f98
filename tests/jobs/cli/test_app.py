"""The command line as a whole."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest
import typer

from gauntlet.jobs.cli.app import app

ROOM = 78
"""Columns of a help's text on a terminal of 80."""


def helps(group: typer.Typer) -> Iterator[tuple[str, str]]:
    """Return name and help of every command and group."""
    for part in (*group.registered_commands, group.registered_callback):
        if part is not None:
            assert part.callback is not None
            yield part.callback.__name__, inspect.getdoc(part.callback) or ""
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from helps(inner.typer_instance)


@pytest.mark.parametrize(("name", "text"), helps(app))
def test_no_paragraph_of_a_help_is_broken_by_a_terminal_of_80_columns(name: str, text: str) -> None:
    paragraphs = [part.splitlines() for part in text.split("\n\n") if not part.startswith("\b")]
    broken = [line for lines in paragraphs for line in lines[:-1] if len(line) > ROOM]
    assert broken == [], "the rest of such a line would stand alone in the next"


@pytest.mark.parametrize(("name", "text"), helps(app))
def test_no_brackets_of_a_help_are_taken_for_markup(name: str, text: str) -> None:
    lost = re.findall(r"(?<!\\)\[[a-z][^\]]*\]", text)
    assert lost == [], "write a backslash before them"
