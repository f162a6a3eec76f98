"""`docs/data.md`: its lines are right, and it has every source."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from gauntlet import pipeline
from gauntlet.pipeline.data.sources.source import catalogue, name_of
from tests.toys.datasets import spec

PAGE = Path(pipeline.__file__).resolve().parents[1] / "docs" / "data.md"


def test_the_page_shows_every_source_and_its_lines_are_read() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    shown = [spec(**yaml.safe_load(block)["data"]) for block in blocks]
    assert {one.source for one in shown} == {name_of(source) for source in catalogue()}
