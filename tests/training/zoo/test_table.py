"""The page of the zoo's networks says what their files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.models.zoo.recipes import RECIPES
from gauntlet.pipeline.training.zoo import table
from tests.toys.faces import small_weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_weights(tmp_path_factory.mktemp("zoo"))


def test_the_table_shows_what_the_files_say(made: Path) -> None:
    lines = table.markdown(made).splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| `")}
    assert list(rows) == [f"`{name}`" for name in RECIPES]
    about = weights.metadata("s1", made)
    assert (
        f"| {float(about['threshold']):.3f} | {100 * float(about['accuracy']):.2f} ± "
        in (rows["`s1`"])
    )
    assert "| vgg | " in rows["`s1`"]
    assert rows["`a1`"].count("| - ") == 5


def test_the_page_is_up_to_date() -> None:
    page = weights.WEIGHTS.parent / "README.md"
    assert page.read_text() == table.markdown()
