"""Judging the iterates: the same rows everywhere, each once, with bounded memory."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import weakref

import numpy as np
import pandas as pd
import pytest
import ray
import torch
import yaml

from gauntlet.actors import batches
from gauntlet.actors.wire import Packed
from gauntlet.pipeline import results
from gauntlet.pipeline.attacks.loop import run as run_loop
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.oracle.in_process import InProcessOracle
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.run.criterion import Criterion
from gauntlet.pipeline.run.local import LocalSurrogates
from gauntlet.pipeline.run.plan import Evaluate
from gauntlet.pipeline.run.plan_models import build_target
from gauntlet.pipeline.run.showing import Showing, pixels
from gauntlet.pipeline.run.steps import IN_FLIGHT, JudgedSteps, StepJudge
from tests.actors.test_placements import (
    ONE_AFTER_THE_OTHER,
    SMALL_PARTS,
    assert_same,
    kill_when_running,
    wait_for_units,
)
from tests.toys.held import held
from tests.toys.runs import KEYS, carry_out, job, network, own, plan, verdicts

STEPS = 4
ROWS = 24 * 2 * 2 * STEPS


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    carry_out(folder, "in-process", evaluate={"steps": "all"})
    return folder / "run"


@pytest.fixture(scope="module")
def last(tmp_path_factory):
    folder = tmp_path_factory.mktemp("last")
    carry_out(folder, "in-process")
    return folder / "run"


def step_of(frame: pd.DataFrame, step: int) -> pd.DataFrame:
    return frame[frame["step"] == step].reset_index(drop=True)


def test_every_step_of_every_image_once_and_only_the_last_image_is_stored(whole):
    frame = verdicts(whole)
    assert len(frame) == ROWS
    assert not frame.duplicated(KEYS).any()
    assert sorted(frame["step"].unique()) == [1, 2, 3, 4]
    assert len(results.read(str(whole), "examples")) == 24 * 2
    stored = results.read(str(whole), "examples").set_index(["example", "attack"])["l2"]
    judged = step_of(frame, STEPS).drop_duplicates(["example", "attack"])
    l2 = judged.set_index(["example", "attack"])["l2"]
    assert l2.sort_index().equals(stored.sort_index())


def test_the_last_step_is_judged_as_it_is_without_the_others(whole, last):
    assert_same(step_of(verdicts(whole), STEPS), verdicts(last))
    random = step_of(verdicts(whole), STEPS).query("target == 'wide-resize-pad'")
    alone = verdicts(last).query("target == 'wide-resize-pad'")
    assert np.array_equal(random["score_std"], alone["score_std"])


def test_each_row_is_about_its_own_iterate(whole, tmp_path):
    given = plan(tmp_path)
    frame = verdicts(whole)
    ids = sorted(frame["example"].unique())
    batch = (
        open_examples(given.data, given.task.goal, root=given.root, seed=given.seed)
        .select(ids)
        .load(range(len(ids)))
        .batch
    )
    assert batch is not None
    assert batch.labels is not None
    surrogates = LocalSurrogates(given)
    oracle = InProcessOracle(list(surrogates.models.values()))
    target, _ = build_target(given.targets[0], given)
    for attack in given.attacks:
        seen: dict[int, torch.Tensor] = {}
        run_loop(attack, batch, oracle, seed=given.seed, on_step=seen.__setitem__)
        ball = attack.method(batch.goal, batch.images[0].numel()).ball
        for step in (1, 2, 3):
            image = ball.quantize(seen[step], batch.images)
            with torch.inference_mode():
                logits = target(image)
            others = logits.scatter(1, batch.labels[:, None], -torch.inf).amax(1)
            margin = others - logits.gather(1, batch.labels[:, None])[:, 0]
            rows = frame.query("attack == @attack.label and target == 'wide' and step == @step")
            rows = rows.set_index("example").loc[list(batch.ids)]
            assert np.allclose(rows["score"], margin.numpy(), atol=1e-4)
            assert rows["success"].eq((margin > 0).numpy()).all()
            change = 255 * (image - batch.images).abs().flatten(1).amax(1)
            assert np.allclose(rows["linf"], change.numpy(), atol=1e-3)
            assert np.allclose(rows["linf"], rows["linf"].round(), atol=1e-9)


@pytest.mark.parametrize(
    "placement", ["in-process", pytest.param("packed", marks=pytest.mark.slow)]
)
def test_resume_after_sigkill_has_every_step_exactly_once(placement, tmp_path):
    attacks = [{"grid": {"base": ["i", "di"], "combine": ["ens", "svre"]}, "steps": 6}]
    path, run, go_on = tmp_path / "job.yaml", tmp_path / "run", tmp_path / "go on"
    # Of twelve units, of six updates and more each, one after the other.
    surrogates = [held("plain", go_on, 40), network("separable")]
    content = job(
        attacks=attacks, surrogates=surrogates, evaluate={"steps": "all", "traces": False},
        resources=SMALL_PARTS | ONE_AFTER_THE_OTHER[placement],
    )  # fmt: skip
    path.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "gauntlet.jobs.cli.app"]
    arguments = ["run", str(path), "--out", str(run), "--placement", placement]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for_units(run, 1, process)
        process.send_signal(signal.SIGKILL)
    assert 1 <= len(RunFolder(str(run)).finished()) < 12
    go_on.touch()
    finished = subprocess.run(
        [*command, "resume", str(run)], capture_output=True, text=True, timeout=600, check=False
    )
    assert finished.returncode == 0, finished.stderr
    frame = verdicts(run)
    assert len(frame) == 24 * 4 * 2 * 6
    assert not frame.duplicated(KEYS).any()
    assert sorted(frame["step"].unique()) == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.parametrize("actor", ["PackedWorker", "TargetWorker"])
def test_a_killed_worker_costs_no_step_rows(actor, whole, tmp_path):
    killed: list[int] = []
    attacks = [*job()["attacks"], {"base": "mi", "steps": 40, "name": "long"}]
    go_on = tmp_path / "go on"
    surrogates = [held("plain", go_on, 40), network("separable")]
    arguments = (actor, tmp_path / "run", go_on, killed)
    killer = threading.Thread(target=kill_when_running, args=arguments, daemon=True)
    killer.start()
    outcome = carry_out(
        tmp_path, "packed", attacks=attacks, surrogates=surrogates, resources=SMALL_PARTS,
        evaluate={"steps": "all"},
    )  # fmt: skip
    killer.join()
    assert killed, "no actor was killed"
    assert outcome.units_failed == 0
    frame = verdicts(tmp_path / "run")
    assert len(frame) == ROWS + 24 * 40 * 2
    assert not frame.duplicated(KEYS).any()
    assert_same(frame[frame["attack"] != "long"].reset_index(drop=True), verdicts(whole))


def test_chosen_steps_and_attacks_of_different_lengths(tmp_path):
    attacks = [{"base": "i", "steps": 2}, {"base": "mi", "steps": 5}]
    carry_out(tmp_path, "in-process", evaluate={"steps": [3, 1]}, attacks=attacks)
    frame = verdicts(tmp_path / "run")
    found = frame.groupby("base")["step"].unique().map(sorted)
    assert found["i"] == [1, 2]
    assert found["mi"] == [1, 3, 5]


def test_steps_are_checked_and_always_end_at_the_last():
    assert Evaluate(steps="last").before_last(10) == ()
    assert Evaluate(steps="all").before_last(3) == (1, 2)
    assert Evaluate(steps="all").before_last(1) == ()
    assert Evaluate(steps=(10, 1, 5)).before_last(10) == (1, 5)
    for wrong in ((), (0,), (2, 2), "first"):
        with pytest.raises(ValueError, match="steps"):
            Evaluate(steps=wrong)


def test_float_images_are_judged_as_they_are(tmp_path):
    carry_out(
        tmp_path, "in-process", select={"limit": 6},
        evaluate={"steps": "all", "quantize": False},
        attacks=[{"base": "i", "steps": 3, "step_size": "1.3/255"}],
    )  # fmt: skip
    frame = verdicts(tmp_path / "run")
    early = frame[(frame["step"] == 2) & (frame["target"] == "wide")]
    traces = results.read(str(tmp_path / "run"), "traces")
    traces = traces[traces["step"] == 2].set_index(["attack", "example"])
    at = pd.MultiIndex.from_frame(early[["attack", "example"]])
    assert np.allclose(early["l2"], traces.loc[at, "l2"], atol=1e-4)
    assert np.allclose(early["linf"], 2.6, atol=1e-3)


def test_lost_examples_have_no_row_at_any_step(tmp_path):
    surrogate = own("plain", "tests.run.test_stream:overflowing")
    carry_out(
        tmp_path, "in-process", surrogates=[surrogate], select={"limit": 40},
        resources={"fold": False}, evaluate={"steps": "all"},
    )  # fmt: skip
    failures = results.read(str(tmp_path / "run"), "failures")
    frame = verdicts(tmp_path / "run")
    lost = set(zip(failures["attack"], failures["example"], strict=True))
    assert lost
    assert not lost & set(zip(frame["attack"], frame["example"], strict=True))
    assert len(frame) == (40 * 2 - len(lost)) * 2 * STEPS


def breaking(name: str) -> torch.nn.Module:
    """A target that overflows on images that an attack has just begun to change."""
    from gauntlet.pipeline.models.quickstart.networks import load

    inner = load(name)

    class Breaking(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, images):
            levels = images * 255
            off_grid = (levels - levels.round()).abs().amax((1, 2, 3)) > 0.01
            return self.inner(images) * torch.where(off_grid, torch.inf, 1.0)[:, None]

    return Breaking()


def test_a_target_that_overflows_on_an_iterate_loses_the_example_by_name(tmp_path):
    target = own("wide", "tests.run.test_steps:breaking")
    outcome = carry_out(
        tmp_path, "in-process", targets=[target], select={"limit": 4},
        attacks=[{"base": "i", "steps": 2, "step_size": "2.5/255"}],
        evaluate={"steps": "all", "quantize": False},
    )  # fmt: skip
    assert outcome.units_failed == 0
    failures = results.read(str(tmp_path / "run"), "failures")
    assert list(failures["stage"]) == ["evaluate"] * 4
    reason = "target 'wide': outputs on the image after update 1 are not finite"
    assert set(failures["reason"]) == {reason}
    assert results.read(str(tmp_path / "run"), "verdicts").empty


class Counting:
    """Targets that answer late, and count the images that exist."""

    def __init__(self) -> None:
        self.alive: list[weakref.ref[torch.Tensor]] = []
        self.most = 0
        self.shown = 0

    def __call__(self, showing: Showing):
        self.shown += 1
        self.alive = [ref for ref in self.alive if ref() is not None]
        self.alive.append(weakref.ref(showing.images))
        self.most = max(self.most, sum(ref() is not None for ref in self.alive))
        held = showing

        def wait():
            return {"t": np.zeros((1, len(held.ids), 3), np.float32)}

        return wait


def test_at_most_a_few_iterates_exist_however_many_steps_there_are():
    batch = Batch(("a", "b"), torch.full((2, 3, 4, 4), 0.5), Goal.UNTARGETED, torch.tensor([0, 1]))
    attack = Attack(base="i", epsilon=8 / 255, steps=200)
    criterion = Criterion(Goal.UNTARGETED, batch.ids, "i", 0, {"t": 1}, labels=np.array([0, 1]))
    targets = Counting()
    judge = StepJudge(JudgedSteps(tuple(range(1, 200)), criterion, True), attack, batch, targets)
    gc.collect()
    for step in range(1, 201):
        judge(step, batch.images + step / 255 / 100)
    verdicts_of_steps = judge.verdicts()
    assert targets.shown == len(verdicts_of_steps) == 199
    assert [step.step for step in verdicts_of_steps] == list(range(1, 200))
    assert targets.most <= IN_FLIGHT
    assert not any(ref() is not None for ref in targets.alive)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_on_the_grid_travel_as_bytes_without_a_change(dtype):
    levels = torch.arange(256).repeat(3, 1).reshape(1, 3, 16, 16)
    images = (levels.double() / 255.0).to(dtype)
    criterion = Criterion(Goal.UNTARGETED, ("a",), "i", 0, {"t": 1})
    packed = Packed.of(criterion.showing(images, quantized=True))
    assert packed.arrays["images"].dtype == np.uint8
    assert torch.equal(pixels(packed.unpack().images), images.float())


def test_a_guide_travels_and_has_a_key_of_its_own(monkeypatch):
    monkeypatch.setattr(ray, "put", lambda value: value)
    monkeypatch.setattr(ray, "get", lambda value: value)
    plain = Batch(("a",), torch.zeros(1, 3, 2, 2), Goal.UNTARGETED, torch.tensor([0]))
    one, two = (
        Batch(plain.ids, plain.images, plain.goal, plain.labels, guide=torch.full((1, 3, 2, 2), v))
        for v in (0.1, 0.2)
    )
    published = batches.PublishedBatches(keep=3)
    keys = {name: published.publish(b).key for name, b in (("", plain), ("1", one), ("2", two))}
    assert len(set(keys.values())) == 3
    assert published.publish(one).key == keys["1"]
    guide = published.publish(two).fetch().guide
    assert guide is not None
    assert two.guide is not None
    assert torch.equal(guide, two.guide)
