"""The terminal: a console on which every text means itself."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from gauntlet.jobs.reports.plain_text import visible
from gauntlet.pipeline.credentials import without_credentials

_IN_ASCII = str.maketrans({"─": "-", "±": "+-", "…": "...", "·": "."})
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
        return super().render_str(self._sayable(visible(without_credentials(text))), **options)

    def _sayable(self, text: str) -> str:
        """Return a text in the characters that the output has, which may be ASCII alone."""
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            plain = text.translate(_IN_ASCII)
            return plain.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return text


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
