"""The files that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.zoo import weights
from gauntlet.pipeline.models.zoo.recipes import RECIPES
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.training.zoo import evaluate, table
from gauntlet.pipeline.training.zoo.pool import TEST, open_pool


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_network_is_there_as_its_recipe_made_it(name: str) -> None:
    assert weights.problem_with(name) is None
    about = weights.metadata(name)
    assert about["recipe"] == RECIPES[name].model_dump_json()
    model = build(ModelSpec(name=name, source=f"zoo/{name}"), task=Task.VERIFICATION)
    assert model.weights_fingerprint == about["fingerprint"]
    assert weights.path_of(name).stat().st_size < 700_000


def test_all_together_are_small_and_nothing_else_is_there() -> None:
    files = {path.name: path.stat().st_size for path in weights.WEIGHTS.iterdir()}
    assert set(files) == {f"{name}.safetensors" for name in RECIPES} | {weights.SUMS}
    assert sum(files.values()) < 16_000_000


@pytest.mark.parametrize("name", list(RECIPES))
def test_what_was_measured_is_good_enough(name: str) -> None:
    recipe, own = RECIPES[name], weights.metadata(name)
    assert float(own["accuracy"]) >= (0.97 if recipe.twin is None else 0.85)
    if recipe.twin is not None:
        twin = weights.metadata(recipe.twin)
        assert float(own["white_box"]) <= 0.5 * float(twin["white_box"])


@pytest.mark.slow
def test_what_was_measured_is_found_again(tmp_path: Path) -> None:
    pool = open_pool(
        tmp_path, first=TEST, identities=evaluate.IDENTITIES, shots=evaluate.SHOTS,
        progress=Silent(),
    )  # fmt: skip
    for name in ("a1",):
        own = weights.metadata(name)
        found = evaluate.evaluate(weights.load(name), pool)
        assert found.fingerprint == own["fingerprint"]
        for value, quantity in (
            (found.accuracy, "accuracy"), (found.threshold, "threshold"),
            (found.clean_rate, "clean_rate"), (found.white_box, "white_box"),
        ):  # fmt: skip
            # Last bits differ between machines and numbers of threads, and with them a few pairs.
            assert value == pytest.approx(float(own[quantity]), abs=0.012), (name, quantity)


def test_the_page_is_up_to_date() -> None:
    page = weights.WEIGHTS.parent / "README.md"
    assert page.read_text() == table.markdown()
