"""Every field of a plan changes something or is refused. A new field needs a probe here."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gauntlet.actors.devices import Devices
from gauntlet.actors.placement import lay_out
from gauntlet.pipeline import results
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.results import patience
from gauntlet.pipeline.results.patience import StorageFailed
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.run.local import LocalSurrogates
from gauntlet.pipeline.run.plan import Evaluate, Plan, Resources, Select, TaskSpec
from gauntlet.pipeline.run.plan_models import build_target, configure
from tests.toys.runs import carry_out, network, plan, verdicts

DEVICES = Devices(cpus=8, gpus=0, memory=2**34)
GPUS = Devices(cpus=16, gpus=8, memory=2**36)


def layout(folder, placement="packed", devices=DEVICES, **resources):
    given = {"batch": 8, **resources}
    return lay_out(plan(folder, resources=given), devices, placement, "")


def layout_probe(field, value, placement, devices=DEVICES):
    def probe(folder):
        plain = layout(folder, placement, devices)
        return plain != layout(folder, placement, devices, **{field: value})

    return probe


def passes(folder, rows):
    """Return the sizes of the first surrogate's forward passes."""
    job = plan(folder, resources={"rows_per_pass": rows, "fold": False})
    surrogates = LocalSurrogates(job)
    sizes = []
    first = next(iter(surrogates.models.values()))
    first.network.register_forward_hook(lambda m, i, o: sizes.append(len(o)))
    batch = open_examples(job.data, job.task.goal, root=job.root, seed=0).load(range(4)).batch
    assert batch is not None
    attack = job.attacks[0].model_copy(update={"base": "si"})
    surrogates.attack(attack, batch)
    return sizes


def tf32(folder):
    seen = []
    for allowed in (True, False):
        configure(Resources(tf32=allowed), None)
        seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
    return seen == [(True, True), (False, False)]


def parameter_type(folder, dtype):
    models = LocalSurrogates(plan(folder, resources={"dtype": dtype})).models
    return next(next(iter(models.values())).parameters()).dtype


def threads(folder):
    before = torch.get_num_threads()
    configure(Resources(), 3)
    changed = torch.get_num_threads()
    configure(Resources(), before)
    return changed == 3 and layout_probe("threads", 3, "packed")(folder)


def folded(folder, fold):
    return LocalSurrogates(plan(folder, resources={"fold": fold})).cards["surrogate/plain"].folded


def units(folder, batch):
    """Return how many units a run of two attacks on eight images has."""
    few = {"select": {"limit": 8}, "attacks": [{"base": base, "steps": 1} for base in ("i", "mi")]}
    resources = {"batch": batch}
    return carry_out(folder, "in-process", f"{batch}", resources=resources, **few).units_done


def parts(folder, **resources):
    """Return how many parts of its verdicts a run of six units writes."""
    name = "-".join(map(str, next(iter(resources.items()))))
    carry_out(folder, "in-process", name, resources=resources)
    lines = [path.read_text() for path in (folder / name / "record").iterdir()]
    commits = [json.loads(line)["link"]["entry"] for line in lines if '"kind":"commit"' in line]
    return sum(
        file["name"].startswith("verdicts/") for commit in commits for file in commit["files"]
    )


def waits(folder, seconds):
    """Return whether a run goes on after its storage refused one writing."""
    written = Storage.write
    refused: list[str] = []

    def write(storage, name, content, **more):
        if name.startswith("_parts/") and not refused:
            refused.append(name)
            raise OSError(28, "No space left on device", name)
        written(storage, name, content, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Storage, "write", write)
        patch.setattr(patience, "PAUSE", 0.01)
        try:
            carry_out(
                folder, "in-process", f"{seconds}", select={"limit": 8},
                attacks=[{"base": "i", "steps": 1}], resources={"storage_patience_s": seconds},
            )  # fmt: skip
        except StorageFailed:
            return False
    return bool(refused)


RESOURCES = {
    "placement": lambda f: layout(f, "packed") != layout(f, "pinned"),
    "batch": lambda f: (units(f, 4), units(f, 8)) == (4, 2),
    "in_flight": layout_probe("in_flight", 7, "pinned"),
    "workers": layout_probe("workers", 3, "packed"),
    "target_workers": layout_probe("target_workers", 2, "packed"),
    "replicas": layout_probe("replicas", 2, "pinned"),
    "hubs": layout_probe("hubs", 2, "pinned"),
    "part_megabytes": lambda f: parts(f, part_megabytes=0.05) > parts(f, part_megabytes=64),
    "part_seconds": lambda f: parts(f, part_seconds=0) == 6 > parts(f, part_seconds=60),
    "storage_patience_s": lambda f: waits(f, 60) and not waits(f, 0),
    "threads": threads,
    "surrogate_gpus": layout_probe("surrogate_gpus", 0.5, "pinned", GPUS),
    "target_gpus": layout_probe("target_gpus", 0.1, "pinned", GPUS),
    "hub_gpus": layout_probe("hub_gpus", 0.3, "pinned", GPUS),
    "dtype": lambda f: parameter_type(f, "float32") != parameter_type(f, "float64"),
    "tf32": tf32,
    "fold": lambda f: folded(f, True) and not folded(f, False),
    "rows_per_pass": lambda f: max(passes(f, 4)) == 4 and max(passes(f, 12)) == 12,
}


@pytest.mark.parametrize("field", Resources.model_fields)
def test_every_resource_changes_something(field, tmp_path):
    assert RESOURCES[field](tmp_path), f"resources.{field} changes nothing"


@pytest.mark.parametrize(
    ("placement", "field", "value"),
    [
        ("in-process", "workers", 2),
        ("in-process", "in_flight", 3),
        ("in-process", "target_workers", 2),
        ("in-process", "replicas", 2),
        ("in-process", "surrogate_gpus", 1),
        ("in-process", "target_gpus", 1),
        ("in-process", "hub_gpus", 0.5),
        ("packed", "replicas", 2),
        ("packed", "hub_gpus", 0.5),
        ("pinned", "workers", 2),
    ],
)
def test_a_resource_without_effect_is_refused(placement, field, value):
    with pytest.raises(ValidationError, match=f"{field} would have no effect"):
        Resources(placement=placement, **{field: value})


def test_a_plan_survives_json(tmp_path):
    given = plan(tmp_path, resources={"placement": "in-process"})
    assert Plan.model_validate_json(given.model_dump_json()) == given


def test_every_evaluation_field_changes_something(tmp_path):
    assert set(Evaluate.model_fields) == {"quantize", "images", "traces", "steps", "interactions"}
    few = {"limit": 4}
    carry_out(tmp_path, "in-process", "plain", select=few)
    carry_out(
        tmp_path, "in-process", "other", select=few,
        evaluate={
            "quantize": False, "images": False, "traces": False, "steps": [2],
            "interactions": {"grid": 2},
        },
    )  # fmt: skip
    names = ("examples", "traces", "verdicts", "interactions")
    tables = {
        run: {name: results.read(str(tmp_path / run), name) for name in names}
        for run in ("plain", "other")
    }
    assert tables["plain"]["examples"]["image"].notna().all()
    assert tables["other"]["examples"]["image"].isna().all()
    assert len(tables["plain"]["traces"]) > 0
    assert tables["other"]["traces"].empty
    assert [sorted(tables[run]["verdicts"]["step"].unique()) for run in tables] == [[4], [2, 4]]
    assert tables["plain"]["interactions"].empty
    assert len(tables["other"]["interactions"]) == 4 * 2 * 2
    assert not np.allclose(tables["plain"]["examples"]["l2"], tables["other"]["examples"]["l2"])


INTERACTIONS = {"grid": 4, "utility": "loss"}


def interactions(folder, spec):
    """Return the table of a small run whose interactions are measured so."""
    few: dict[str, Any] = {"select": {"limit": 2}, "attacks": [{"base": "i", "steps": 1}]}
    carry_out(folder, "in-process", evaluate={"interactions": spec}, **few)
    return results.read(str(folder / "run"), "interactions")


@pytest.fixture(scope="module")
def plain_interactions(tmp_path_factory):
    return interactions(tmp_path_factory.mktemp("plain"), INTERACTIONS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("grid", 2),
        ("utility", "margin"),
        ("estimator", "sampled"),
        ("orders", [0, 3]),
        ("closed_form", True),
    ],
)
def test_every_interaction_field_reaches_the_table(field, value, plain_interactions, tmp_path):
    changed = {**INTERACTIONS, field: value}
    if field == "estimator":
        changed["samples"] = 5
    columns = {
        "grid": "grid", "utility": "utility", "estimator": "samples",
        "orders": "order_interactions", "closed_form": "closed_form",
    }  # fmt: skip
    plain, other = (
        table[columns[field]].map(str).tolist()
        for table in (plain_interactions, interactions(tmp_path, changed))
    )
    assert plain != other


def test_selection_and_seed_change_something(tmp_path):
    assert set(Select.model_fields) == {"correct", "limit"}
    assert set(TaskSpec.model_fields) == {"kind", "goal"}
    runs: dict[str, dict[str, Any]] = {
        "all": {"select": {"limit": 60}},
        "right": {"select": {"limit": 60, "correct": ["wide"]}},
        "few": {"select": {"limit": 6}},
        "seed": {"select": {"limit": 6}, "seed": 1},
    }
    attacks = [{"base": "pgd", "steps": 1}]
    for name, changes in runs.items():
        carry_out(tmp_path, "in-process", name, attacks=attacks, **changes)
    frames = {name: verdicts(tmp_path / name) for name in runs}
    wide = {name: frame[frame["target"] == "wide"] for name, frame in frames.items()}
    assert wide["right"]["clean_correct"].all()
    assert not wide["all"]["clean_correct"].all()
    assert frames["few"]["example"].nunique() == 6
    assert not frames["few"]["score"].equals(frames["seed"]["score"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mean", [0.4, 0.5, 0.6]),
        ("std", [0.2, 0.2, 0.3]),
        ("channels", "bgr"),
        ("input_size", [40, 40]),
        ("defence", {"kind": "jpeg", "quality": 40}),
        ("source", "quickstart/patches"),
    ],
)
def test_every_model_field_that_shapes_the_output_does(field, value, tmp_path):
    job = plan(tmp_path, targets=[network("wide"), network("wide") | {"name": "b", field: value}])
    images = open_examples(job.data, job.task.goal, root=job.root, seed=0).load(range(4)).batch
    assert images is not None
    plain, changed = (build_target(spec, job)[0] for spec in job.targets)
    assert not torch.allclose(plain(images.images), changed(images.images))
    assert plain.fingerprint != changed.fingerprint


def test_a_model_s_options_change_it(tmp_path):
    source = "import:tests.toys.jobs:network"
    models = [
        build(ModelSpec(name="m", source=source, options={"seed": seed}), permission=granted())
        for seed in (0, 1)
    ]
    assert models[0].fingerprint != models[1].fingerprint
