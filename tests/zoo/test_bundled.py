"""The files that come with the package."""

from __future__ import annotations

import pytest

from pipeline.batch import Task
from pipeline.models.build import build
from pipeline.models.spec import ModelSpec
from pipeline.zoo import table, weights
from pipeline.zoo.recipes import RECIPES

BUNDLED = [name for name in RECIPES if f"{name}.safetensors" in weights.checksums()]
"""Networks that have been trained so far; the others say how to train them."""


@pytest.mark.parametrize("name", BUNDLED)
def test_every_network_is_there_as_its_recipe_made_it(name: str) -> None:
    assert weights.problem_with(name) is None
    about = weights.metadata(name)
    assert about["recipe"] == RECIPES[name].model_dump_json()
    model = build(ModelSpec(name=name, source=f"zoo/{name}"), task=Task.VERIFICATION)
    assert model.weights_fingerprint == about["fingerprint"]
    assert weights.path_of(name).stat().st_size < 700_000


def test_all_together_are_small_and_nothing_else_is_there() -> None:
    if not BUNDLED:
        pytest.skip("no network of the zoo has been trained yet: gauntlet zoo train")
    files = {path.name: path.stat().st_size for path in weights.WEIGHTS.iterdir()}
    assert set(files) == {f"{name}.safetensors" for name in BUNDLED} | {weights.SUMS}
    assert sum(files.values()) < 16_000_000


@pytest.mark.parametrize("name", sorted(set(RECIPES) - set(BUNDLED)))
def test_a_network_that_is_missing_says_what_makes_it(name: str) -> None:
    problem = weights.problem_with(name)
    assert problem is not None
    assert f"gauntlet zoo train --only {name}" in problem


def test_adversarial_training_made_them_harder_to_attack() -> None:
    for recipe in RECIPES.values():
        if recipe.twin is not None and {recipe.name, recipe.twin} <= set(BUNDLED):
            own, twin = weights.metadata(recipe.name), weights.metadata(recipe.twin)
            assert float(own["white_box"]) < float(twin["white_box"])


def test_the_page_is_up_to_date() -> None:
    page = weights.WEIGHTS.parent / "README.md"
    assert page.read_text() == table.markdown()
