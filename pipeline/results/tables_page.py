"""The page of the result tables, made from the schema that writes them."""

from __future__ import annotations

from gauntlet.pipeline.results.schema import FORMER, ROWS, TABLES

_TYPES = {
    "string": "text",
    "double": "number",
    "int32": "whole number",
    "bool": "true or false",
    "binary": "bytes",
    "list<item: double>": "numbers",
    "list<item: int32>": "whole numbers",
}

_HEAD = """\
# Result tables

Made by `python -m gauntlet.pipeline.results`; do not edit.

Every table is a folder of Parquet files in the run's folder, read by
`pandas.read_parquet("RUN/verdicts")` or `gauntlet.pipeline.results.read("RUN", "verdicts")`. The
meanings stand in the files, too (metadata of the fields). Columns marked * may be empty.
"""


def markdown() -> str:
    """Return the page."""
    lines = [_HEAD]
    for now, before in FORMER.items():
        lines.append(f"Runs of earlier versions have `{before}` for `{now}`; `read` knows both.\n")
    for table, schema in TABLES.items():
        lines += [
            f"## `{table}`",
            "",
            ROWS[table],
            "",
            "| column | type | meaning |",
            "|---|---|---|",
        ]
        for field in schema:
            kind = f"{_TYPES[str(field.type)]}{' *' if field.nullable else ''}"
            meaning = field.metadata[b"description"].decode().replace("|", r"\|")
            lines.append(f"| `{field.name}` | {kind} | {meaning} |")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"
