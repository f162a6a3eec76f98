"""The committed reference page is what the schema says."""

from pathlib import Path

from gauntlet.jobs.reference.job_page import markdown
from gauntlet.jobs.reference.job_sections import sections
from gauntlet.jobs.reference.renew import COMMAND

PAGE = Path(__file__).parents[3] / "docs" / "jobs.md"


def test_the_reference_page_is_up_to_date():
    assert PAGE.read_text() == markdown(sections()), f"run: {COMMAND}"
