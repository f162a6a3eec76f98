"""Text files as spreadsheets, editors and scripts write them."""

from __future__ import annotations

import codecs
from pathlib import Path

from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.files import obstacle

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, name: str, field: str, found: Found) -> str | None:
    """Return a text file's content, lines ended by ``\\n`` and without a byte order mark.

    Args:
        path: the file, in UTF-8, or in UTF-16 with a byte order mark.
        name: what to call it in problems: as the job has it.
        field: the job's field that names it, such as ``data.pairs``.
        found: takes the problem: no such file, a device, or another encoding.
    """
    if what := obstacle(path):
        found.add(field, f"{what}: {path}" if what == "no such file" else f"{path} {what}")
        return None
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found.add(field, f"{name} cannot be read as CSV in UTF-8: {error}; save it as UTF-8")
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")
