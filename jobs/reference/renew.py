"""Makes what is shipped and what is committed of the reference: `python -m ...reference.renew`."""

from __future__ import annotations

from gauntlet.jobs.reference import faces_page, index, job_page, methods_page
from gauntlet.jobs.reference.index import MOST_NAMES, Index
from gauntlet.jobs.reference.job_sections import sections
from gauntlet.jobs.reference.method_rows import rows
from gauntlet.jobs.reference.source_rows import source_rows
from gauntlet.pipeline.models.matching import layouts

COMMAND = "python -m gauntlet.jobs.reference.renew"
"""Renews the index and the pages."""
DOCS = index.PATH.resolve().parents[2] / "docs"
"""Where the pages are, in a checkout."""


def made() -> Index:
    """Return the rows, from the code."""
    return Index(
        methods=tuple(rows()),
        sections=tuple(sections()),
        sources=tuple(source_rows(MOST_NAMES)),
        layouts=layouts(),
    )


def text() -> str:
    """Return the content of the index's file."""
    return made().model_dump_json(indent=1, exclude={"methods": {"__all__": {"origin"}}}) + "\n"


def main() -> None:
    """Write the index, and the pages if there is a folder for them."""
    index.PATH.write_text(text(), encoding="utf-8")
    if DOCS.is_dir():
        (DOCS / "jobs.md").write_text(job_page.markdown(sections()), encoding="utf-8")
        (DOCS / "methods.md").write_text(methods_page.markdown(), encoding="utf-8")
        (DOCS / "faces.md").write_text(faces_page.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
