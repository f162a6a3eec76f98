"""The committed page of the result tables is what the schema says."""

from pathlib import Path

from gauntlet.pipeline.results.tables_page import markdown

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def test_the_page_is_up_to_date():
    command = "python -m gauntlet.pipeline.results > docs/results.md"
    assert PAGE.read_text() == markdown(), f"run: {command}"
