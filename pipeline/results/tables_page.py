"""The page of the result tables, made from the schema that writes them."""

from __future__ import annotations

from gauntlet.pipeline.results.schema import FORMER, ORDER, ROWS, TABLES

_TYPES = {
    "string": "text",
    "double": "number",
    "int32": "whole number",
    "int64": "whole number",
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

Once a run is complete each table is sorted, with what is empty last, and lies in a few files that
follow each other by name.

| in the run's folder | what it is |
|---|---|
| `examples/`, `verdicts/`, ... | the tables below; a file counts once the record names it |
| `_parts/` | rows that wait for the record, or for a run's end where an object store has it |
| `record/` | a chain of entries: plan, thresholds, digest of the examples, commits of files |
| `plan.json` | the plan for people; compared with the record whenever the run is opened |
| `selection.json` | ids of the chosen examples |
| `manifest.json` | what was run on what, with which software, and what was noticed |
| `lock.json` | who is at work on the run; gone when nobody is |

A commit names files with their rows, bytes, checksums and units of work. `read` takes the rows of
files that are named; pandas and others take all that lie there, which in a complete run are the
same. `gauntlet report` says in a line what is missing, cut, changed or unlisted, and `gauntlet
resume` mends it.
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
            f"{ROWS[table]} Sorted by {', '.join(f'`{name}`' for name in ORDER[table])}.",
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
