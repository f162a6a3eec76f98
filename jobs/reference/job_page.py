"""The reference page of the job file."""

from __future__ import annotations

from collections.abc import Iterable

from gauntlet.jobs.reference.index import Section


def markdown(sections: Iterable[Section]) -> str:
    """Return the page."""
    lines = [
        "# Job file reference",
        "",
        "Made by `python -m gauntlet.jobs.reference.renew`; do not edit.",
        "",
    ]
    lines += ["Where a list is expected, one entry alone may stand without its brackets.", ""]
    for section in sections:
        lines += [f"## {section.heading}", "", *section.introduction]
        lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        for field in section.fields:
            cells = (f"`{field.name}`", field.type, field.default, field.meaning)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)
