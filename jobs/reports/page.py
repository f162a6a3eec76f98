"""A run's report as one self-contained page: tables and drawings, no scripts."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gauntlet.jobs.reports.against import NOTHING, against_cells, against_title
from gauntlet.jobs.reports.drawings import figures_of, svg
from gauntlet.jobs.reports.failures import FailureCounts
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.notes import notes, threshold_notes, unmoved_words
from gauntlet.jobs.reports.plain_text import visible
from gauntlet.jobs.reports.table_cells import cells
from gauntlet.jobs.reports.thresholds import success_cells, threshold_cells
from gauntlet.pipeline.results import Manifest

STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
svg { max-width: 100%; height: auto; }
.note { color: #555; }
.warning { color: #a40; }
"""
CAPTIONS = {
    "success": "Success on each group of targets, with 95 % intervals",
    "steps": "Success against the step",
    "interaction": (
        "Mean transfer utility against mean interaction on the surrogate: a point an attack, "
        "Pearson's r and the line with 95 % bands over images drawn anew"
    ),
}


def write_html(figures: Figures, path: Path, comparisons: Sequence[pd.DataFrame] = ()) -> None:
    """Write the page.

    Args:
        figures: the run's.
        path: of the file.
        comparisons: from `against.against`, to be shown, too.

    Raises:
        OSError: when the file cannot be written.
    """
    path.write_text(page(figures, comparisons), encoding="utf-8")


def page(figures: Figures, comparisons: Sequence[pd.DataFrame] = ()) -> str:
    """Return a run's report as HTML; every text of the run is escaped."""
    manifest = figures.reading.manifest
    name = manifest.name
    body = [f"<h1>{_text(name)}</h1>", _facts(figures.run, manifest)]
    body += [f'<p class="warning">Warning: {_text(text)}</p>' for text in manifest.warnings]
    if figures.empty:
        body.append(f"<p>{_text(figures.why_empty)}</p>")
    else:
        groups = figures.groups()
        body += ["<h2>Attack and target group</h2>", _table(groups, "group")]
        if figures.further:
            rates = success_cells(figures.by_rule(), "group")
            body += ["<h2>Success by the rule of the threshold</h2>", _cells(*rates)]
            body += ["<h2>Thresholds</h2>", _cells(*threshold_cells(figures.thresholds()))]
        said = [*notes(groups), *threshold_notes(manifest)]
        body += [f'<p class="note">{_text(line)}</p>' for line in said]
        body += [f"<p>{_text(line)}</p>" for line in unmoved_words(figures.unmoved())]
        for title, figure in figures_of(figures):
            caption = CAPTIONS[title.partition("-")[0]]
            body += [f"<h2>{_text(caption)}</h2>", svg(figure)]
        body += ["<h2>Attack and target</h2>", _table(figures.targets(), "target")]
        body += [part for table in comparisons for part in _comparison(table)]
    body.append(_failures(figures.failures))
    head = f'<meta charset="utf-8"><title>{_text(name)}</title><style>{STYLE}</style>'
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n'
        f"<body>\n{_lines(body)}</body></html>\n"
    )


def _text(text: str) -> str:
    """Return a text as a page shows it: no markup, no control characters."""
    return html.escape(visible(text))


def _lines(parts: list[str]) -> str:
    return "".join(f"{part}\n" for part in parts if part)


def _facts(run: str, manifest: Manifest) -> str:
    rounded = manifest.evaluate.get("quantize")
    facts = {
        "run": run,
        "seed": manifest.seed,
        "started": manifest.started,
        "finished": manifest.finished or "not yet",
        "placement": manifest.placement,
        "images": "rounded to 8 bits" if rounded else "not rounded",
    }
    items = [f"{_text(key)}: {_text(str(value))}" for key, value in facts.items() if value]
    return f"<p>{'<br>'.join(items)}</p>"


def _table(frame: pd.DataFrame, by: str) -> str:
    return _cells(*cells(frame, by))


def _cells(headings: list[str], rows: list[list[str]]) -> str:
    lines = [_row("th", headings), *(_row("td", row) for row in rows)]
    return f"<table>\n{_lines(lines)}</table>"


def _comparison(table: pd.DataFrame) -> list[str]:
    if table.empty:
        return [f"<p>{_text(NOTHING)}</p>"]
    headings, rows = against_cells(table)
    title = against_title(str(table["against"].iloc[0]))
    lines = [_row("th", headings), *(_row("td", row) for row in rows)]
    return [f"<h2>{_text(title)}</h2>", f"<table>\n{_lines(lines)}</table>"]


def _row(tag: str, cells: list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(cell)}</{tag}>' for cell in cells)}</tr>"


def _failures(failures: FailureCounts) -> str:
    if not failures.count:
        return ""
    names = ["attack", "example", "stage", "reason"]
    rows = [_row("th", names)]
    rows += [_row("td", [row[name] or "" for name in names]) for row in failures.first]
    more = failures.count - len(failures.first)
    rest = f"<p>... and {more} more in the failures table</p>" if more else ""
    return f"<h2>Failures: {failures.count}</h2>\n<table>\n{_lines(rows)}</table>{rest}"
