"""The interactions table of a run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gauntlet.pipeline import results
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.interactions import InteractionSpec, measure
from gauntlet.pipeline.run.local import LocalSurrogates
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.rows.interactions import Interactions, interaction_columns
from tests.toys.runs import carry_out, plan

SPEC = {"grid": 4, "utility": "margin"}
KEYS = ["attack", "example", "surrogate"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interactions")
    attacks = [
        {"base": "mi", "steps": 3},
        {"base": "i", "steps": 3, "surrogates": ["separable"]},
    ]
    carry_out(
        folder, "in-process", attacks=attacks, select={"limit": 10},
        evaluate={"interactions": SPEC, "steps": "all"},
    )  # fmt: skip
    return folder


def test_one_row_an_image_and_surrogate_of_its_attack(run):
    frame = results.read(str(run / "run"), "interactions")
    assert not frame.duplicated(KEYS).any()
    counts = frame.groupby(["base", "surrogate"]).size()
    assert counts.to_dict() == {
        ("mi", "plain"): 10,
        ("mi", "separable"): 10,
        ("i", "separable"): 10,
    }
    assert set(frame["grid"]) == {"4x4"}
    assert set(frame["utility"]) == {"margin"}
    assert set(frame["estimator"]) == {"exact"}
    assert (frame["samples"] == 16).all()
    assert (frame["standard_error"] == 0).all()
    assert frame["closed_form"].isna().all()
    assert (frame["order_interactions"].map(len) == 0).all()


def test_values_are_those_of_the_measurement_on_the_stored_image(run, tmp_path):
    frame = results.read(str(run / "run"), "interactions").set_index(KEYS)
    images = results.read(str(run / "run"), "examples")
    images = images[images["base"] == "mi"].reset_index(drop=True)
    given = plan(tmp_path, evaluate={"interactions": SPEC})
    examples = open_examples(given.data, given.task.goal, root=given.root, seed=given.seed)
    batch = examples.select(list(images["example"])).load(range(len(images))).batch
    assert batch is not None
    assert given.evaluate.interactions is not None
    rows = images.set_index("example").loc[list(batch.ids)]
    stacked = np.stack([results.decode_image(row) for _, row in rows.iterrows()])
    perturbed = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
    for name, model in LocalSurrogates(given).models.items():
        found = measure(
            model, batch, perturbed, given.evaluate.interactions,
            seed=0, model_name=name, rows_per_pass=64,
        )  # fmt: skip
        label = images["attack"][0]
        mine = frame.loc[[(label, example, name) for example in batch.ids]]
        assert np.allclose(mine["interaction"], found.mean, atol=1e-5)
        assert np.allclose(mine["total"], found.total, atol=1e-4)
        assert np.allclose(mine["l2"], rows["l2"])


def test_without_the_field_there_is_no_table(tmp_path):
    carry_out(tmp_path, "in-process", select={"limit": 4})
    assert results.read(str(tmp_path / "run"), "interactions").empty


def test_examples_without_finite_utilities_go_to_failures():
    values = np.array([1.0, np.nan, 3.0])
    columns = dict.fromkeys(("interaction", "standard_error", "total", "empty"), values)
    none = np.zeros((3, 0))
    finite = np.isfinite(values)
    measured = Interactions(columns, none, none, None, None, finite, "loss")
    bad = Interactions(columns, none, none, None, None, finite & False, "loss")
    failures = Failures()
    made = interaction_columns(
        InteractionSpec(grid=2, estimator="sampled", samples=3),
        {"example": ["a", "b", "c"], "attack": "mi"},
        np.array([1.0, 2.0, 3.0]),
        {"good": measured, "bad": bad},
        failures,
    )
    assert made["example"] == ["a", "c"]
    assert made["interaction"].tolist() == [1.0, 3.0]
    assert made["l2"].tolist() == [1.0, 3.0]
    assert made["samples"].tolist() == [3, 3]
    rows = failures.columns()
    assert rows["example"] == ["b", "a", "b", "c"]
    assert set(rows["stage"]) == {"interactions"}
    assert set(rows["attack"]) == {"mi"}
    bad_ones = [reason.startswith("surrogate 'bad'") for reason in rows["reason"]]
    assert bad_ones == [False, True, True, True]
    assert Failures().columns() == {}


def test_neighbour_maps_and_a_common_norm(tmp_path):
    spec = {"grid": 2, "neighbours": 4, "neighbour_samples": 4, "scale_to": "2/255"}
    carry_out(tmp_path, "in-process", select={"limit": 3}, evaluate={"interactions": spec})
    frame = results.read(str(tmp_path / "run"), "interactions")
    assert set(frame["neighbours"].map(len)) == {4}
    assert set(frame["neighbour_errors"].map(len)) == {4}
    assert np.allclose(frame["scaled_to"], 2)
    # On two by two cells the four pairs are the whole of what a map is made from.
    assert np.isfinite(np.stack(frame["neighbours"].tolist())).all()
