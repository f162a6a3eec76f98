"""Text that is not ours, for the places where it is shown: it means itself and does nothing.

Names of models, attacks and files and the messages of exceptions come from job files, data sets
and other people's code. `Terminal` takes none of it for markup; what a terminal, a page
or a spreadsheet itself would obey is handled here.
"""

from __future__ import annotations

import re

# C0 and C1 controls, what turns the direction of writing, and bytes of a name that is not UTF-8.
# Tabs and line ends are kept: messages have several lines.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_FORMULA = re.compile(r"[=+\-@\t\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def visible(text: str) -> str:
    r"""Return a text whose control characters are written out: an escape becomes ``\x1b``."""
    return _OBEYED.sub(lambda match: repr(match[0])[1:-1], text)


def one_line(text: str) -> str:
    r"""Return a text that stays in its cell: as `visible`, and a line end becomes ``\n``."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def plain(text: str) -> str:
    """Return a text that is drawn as it is: no formula, one line, and shown in a legend."""
    text = one_line(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def spreadsheet_cell(value: object) -> object:
    """Return a cell of a CSV that a spreadsheet takes for what it is.

    A text that starts like a formula gets an apostrophe in front, which spreadsheets read as "this
    is text", and control characters are written out: one of them ends a line. Numbers stay, those
    with a sign too, whether as numbers or as text.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
