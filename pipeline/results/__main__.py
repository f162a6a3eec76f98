"""Prints the page of the tables: `python -m gauntlet.pipeline.results > docs/results.md`."""

from gauntlet.pipeline.results.tables_page import markdown

print(markdown(), end="")
