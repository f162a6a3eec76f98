"""What a run sets aside and what not: bad outputs, full disks, Ctrl-C, inputs that come back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gauntlet.actors.launch import launch
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import TABLES
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.carrier import Carrier
from gauntlet.pipeline.run.evaluator import Evaluator
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.runner import Runner
from gauntlet.pipeline.run.selection import select
from gauntlet.pipeline.run.unit import UnitRows
from tests.toys import jobs as tiny

TARGETS = '{name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}'
SURROGATE = '{name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}}'


class Dazzled(nn.Module):
    """NaN on images whose first pixel is bright."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner = tiny.network(seed)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs = self.inner(images)
        return torch.where((images[:, 0, 0, 0] > 0.9)[:, None], torch.nan, outputs)


def dazzled(seed: int) -> nn.Module:
    return Dazzled(seed)


def bright(folder: Path, *changes: tuple[str, str], rows: tuple[int, ...] = (2,)) -> Path:
    """Write a job whose images are dark but for the first pixel of some."""
    path = tiny.write(folder, *changes)
    images = np.load(folder / "images.npz")["images"] // 2
    images[list(rows), 0, 0, 0] = 255
    # Labels as the network of seed 2 has them, so that it is right about every other image.
    labels = tiny.network(2)(torch.tensor(images).permute(0, 3, 1, 2) / 255).argmax(1)
    np.savez(folder / "images.npz", images=images, labels=labels.numpy())
    return path


def two_targets(batch: int) -> tuple[tuple[str, str], ...]:
    bad = '{name: bad, source: "import:tests.run.test_set_aside:dazzled", options: {seed: 3}}'
    return (TARGETS, f"{TARGETS}\n  - {bad}"), ("batch: 4", f"batch: {batch}")


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_a_bad_output_costs_the_example_on_that_target_alone(tmp_path, batch):
    outcome = launch(load(bright(tmp_path, *two_targets(batch))), str(tmp_path / "run"))
    assert outcome.units_failed == 0
    folder = RunFolder(str(tmp_path / "run"))
    pairs = {(row["example"], row["target"]) for row in folder.table("verdicts").to_pylist()}
    ids = [row["example"] for row in folder.table("examples").to_pylist()]
    (failure,) = folder.table("failures").to_pylist()
    assert len(ids) == 8
    assert failure["stage"] == "evaluate"
    assert failure["reason"] == "target 'bad': outputs on the clean image are not finite"
    assert failure["example"].endswith("2")
    assert pairs == {(i, t) for i in ids for t in ("t0", "bad")} - {(failure["example"], "bad")}


def test_other_verdicts_do_not_change_beside_a_bad_output(tmp_path):
    def verdicts(name: str, *changes: tuple[str, str]) -> dict[str, dict[str, object]]:
        (tmp_path / name).mkdir()
        launch(load(bright(tmp_path / name, *changes)), str(tmp_path / name / "run"))
        rows = RunFolder(str(tmp_path / name / "run")).table("verdicts").to_pylist()
        return {r["example"]: {**r, "unit": ""} for r in rows if r["target"] == "t0"}

    assert verdicts("one") == verdicts("two", *two_targets(4))


def test_a_unit_without_any_finite_output_is_done(tmp_path):
    bad = '{name: t0, source: "import:tests.run.test_set_aside:dazzled", options: {seed: 3}}'
    path = bright(tmp_path, (TARGETS, bad), rows=tuple(range(8)))
    outcome = launch(load(path), str(tmp_path / "run"))
    folder = RunFolder(str(tmp_path / "run"))
    assert (outcome.units_done, outcome.units_failed) == (2, 0)
    assert folder.table("failures").num_rows == 8
    assert folder.table("verdicts").num_rows == 0


@pytest.mark.parametrize("who", ["targets", "surrogates"])
def test_selection_sets_aside_what_a_model_says_nothing_finite_about(tmp_path, who):
    old, seed = (TARGETS, 2) if who == "targets" else (SURROGATE, 2)
    name = old[7:9]
    new = (
        f'{{name: {name}, source: "import:tests.run.test_set_aside:dazzled", '
        f"options: {{seed: {seed}}}}}"
    )
    ids = []
    for batch in (3, 8):
        folder = tmp_path / str(batch)
        folder.mkdir()
        chosen = f"batch: {batch}}}\nselect: {{correct: [{name}], limit: 3}}"
        launch(load(bright(folder, (old, new), ("batch: 4}", chosen), rows=(2, 5))),
               str(folder / "run"))  # fmt: skip
        run = RunFolder(str(folder / "run"))
        (failure,) = run.table("failures").to_pylist()
        assert failure["stage"] == "select"
        assert f"model '{name}'" in failure["reason"]
        ids.append(sorted(run.table("examples")["example"].to_pylist()))
        assert failure["example"] not in ids[-1]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


class Interrupted(LocalEngine):
    """Two lanes; the attack fails once the run has been told to stop."""

    calls = 0

    def __init__(self, plan) -> None:
        super().__init__(plan, permission=granted())
        self.begun = threading.Event()
        self.gone = threading.Event()

    def carriers(self, examples, thresholds, storage, gallery=None):
        return [Carrier(self._plan, self, examples, thresholds, storage, lanes=2)]

    def attack(self, attack, batch, judged=None, rows_per_pass=None):
        type(self).calls += 1
        self.begun.set()
        assert self.gone.wait(10)
        raise ConnectionError("the cluster is gone")


def test_lanes_of_an_interrupted_run_neither_try_again_nor_blame_the_unit(tmp_path, monkeypatch):
    job = tiny.plan(tmp_path)
    folder = RunFolder(str(tmp_path / "run"))
    engine = Interrupted(job)
    runner = Runner(job, folder, engine, Silent())
    join, main = threading.Thread.join, threading.current_thread()

    def interrupting(self, timeout=None):
        if threading.current_thread() is main and not engine.gone.is_set():
            assert engine.begun.wait(10)
            threading.Timer(0.3, engine.gone.set).start()  # while the lanes are still at work
            monkeypatch.undo()
            raise KeyboardInterrupt
        return join(self, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupting)
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert engine.gone.wait(10)
    time.sleep(0.3)
    assert Interrupted.calls <= 2
    assert folder.table("failures").num_rows == 0


def test_a_part_that_cannot_be_written_ends_the_run_and_leaves_no_rows(tmp_path, monkeypatch):
    job, where = (
        tiny.plan(tmp_path, ("batch: 4", "batch: 4, storage_patience_s: 0.2")),
        str(tmp_path / "run"),
    )
    write = RunFolder.write

    def full(self, name, content, *, durable=False):
        if name.startswith("_parts/verdicts/"):
            raise OSError(28, "No space left on device")
        write(self, name, content, durable=durable)

    monkeypatch.setattr(RunFolder, "write", full)
    with pytest.raises(OSError, match="No space"):
        launch(job, where)
    folder = RunFolder(where)
    assert {name: folder.table(name).num_rows for name in TABLES} == dict.fromkeys(TABLES, 0)
    monkeypatch.undo()
    outcome = launch(job, where, resume=True)
    assert (outcome.units_done, outcome.units_failed) == (2, 0)
    counts = {name: folder.table(name).num_rows for name in ("verdicts", "examples", "failures")}
    assert counts == {"verdicts": 8, "examples": 8, "failures": 0}
    assert not folder.damage(whole=True)


def test_a_file_that_cannot_be_written_leaves_nothing_aside(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        RunFolder(str(tmp_path)).write("ledger/u.json", b"{}")
    assert not list((tmp_path / "ledger").iterdir())


def pictures(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write a job on eight image files."""
    data = ("data: {source: npz, path: images.npz}", "data: {source: folder, root: im}")
    path = tiny.write(folder, data, *changes)
    draws = np.random.default_rng(0)
    for row in range(8):
        place = folder / "im" / str(row % 4)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(
            place / f"{row}.png"
        )
    return path


def right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every model right about every example."""
    clean = Evaluator.clean

    def all_right(self, batch, models=None):
        answers = clean(self, batch, models)
        return replace(answers, correct=dict.fromkeys(answers.correct, np.ones(len(batch), bool)))

    monkeypatch.setattr(Evaluator, "clean", all_right)


def test_the_limit_counts_readable_examples_whatever_the_batch(tmp_path, monkeypatch):
    found = []
    right(monkeypatch)
    for batch in (1, 2, 8):
        folder = tmp_path / str(batch)
        folder.mkdir()
        chosen = f"batch: {batch}}}\nselect: {{correct: [t0], limit: 3}}"
        job = load(pictures(folder, ("batch: 4}", chosen)))
        (folder / "im/0/4.png").write_bytes(b"broken")
        examples = open_examples(job.data, job.task.goal, root=job.root, seed=job.seed)
        engine = LocalEngine(job, permission=granted())
        carriers = engine.carriers(examples, {}, RunFolder(str(folder / "run")))
        found.append(select(job, examples, carriers, Silent()).ids)
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 4  # three and the broken one


def test_attacks_keep_to_the_same_examples_when_an_input_is_repaired(tmp_path, monkeypatch):
    two = "  - {base: i, epsilon: 8/255, steps: 2}\n  - {base: mi, epsilon: 8/255, steps: 2}"
    path = pictures(tmp_path, tiny.attacks(two), ("batch: 4", "batch: 4"))
    good = {name: (tmp_path / name).read_bytes() for name in ("im/0/4.png", "im/3/7.png")}
    for name in good:
        (tmp_path / name).write_bytes(b"broken")
    rows = UnitRows.of

    def failing(self, unit):
        # No attack finishes on the second batch, one on the first.
        if unit.attack.base == "mi" or any(i.endswith("7.png") for i in unit.work.left_out):
            raise RuntimeError("boom")
        return rows(self, unit)

    monkeypatch.setattr(UnitRows, "of", failing)
    job, where = load(path), str(tmp_path / "run")
    assert launch(job, where).rejected == 2
    monkeypatch.undo()
    for name, content in good.items():
        (tmp_path / name).write_bytes(content)
    outcome = launch(job, where, resume=True)
    folder = RunFolder(where)
    assert outcome.rejected == 1
    (failure,) = folder.table("failures").to_pylist()
    assert failure["example"].endswith("4.png")
    by_attack = Counter(folder.table("examples")["base"].to_pylist())
    assert by_attack == {"i": 7, "mi": 7}
