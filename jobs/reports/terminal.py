"""The terminal: a console on which every text means itself."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from gauntlet.jobs.reports.plain_text import visible
from gauntlet.pipeline.credentials import without_credentials

LOG_WIDTH = 140
"""Columns where there is no terminal: tables in a log should not fold."""


class Terminal(Console):
    """A rich console for text that is not ours.

    Nothing in it is markup, the name of an emoji, or a control character for the terminal, and no
    address has a password in it. What is printed here need not be escaped, and must not be.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as it is laid out: whatever is printed comes through here."""
        return super().render_str(visible(without_credentials(text)), **options)


def terminal(stderr: bool = False, soft_wrap: bool = False) -> Terminal:
    """Return the terminal of this process, or the log that its output goes to.

    Args:
        stderr: write to standard error.
        soft_wrap: leave it to the terminal to break long lines, so that they are copied whole.
    """
    found = Terminal(stderr=stderr, soft_wrap=soft_wrap)
    if found.is_terminal:
        return found
    return Terminal(stderr=stderr, soft_wrap=soft_wrap, width=LOG_WIDTH)
