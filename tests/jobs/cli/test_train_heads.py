"""`gauntlet heads train`: from a job to the heads that its attack uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli import train_heads as heads
from gauntlet.jobs.cli.heads import heads as app
from gauntlet.jobs.spec.checks.inspection import BEFORE_A_RUN, inspect
from gauntlet.jobs.spec.loading import LoadedJob, load, open_job
from gauntlet.pipeline import results
from gauntlet.pipeline.models.heads import image_hashes, read_head
from gauntlet.pipeline.problems import BadInput, Problem

JOB = """\
name: heads
task: {kind: classification, goal: targeted}
data: {source: npz, path: images.npz, limit: 6}
surrogates:
  - {name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}}
  - {name: s1, source: "import:tests.toys.jobs:network", options: {seed: 1}}
targets:
  - {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}
attacks:
  - {base: i, epsilon: 8/255, steps: 2}
  - base: mi
    objective: fd
    epsilon: 8/255
    steps: 3
    options: {fd: {layer: "1", heads: HEADS, training: {hidden: 8, steps: 60, batch: 16}}}
resources: {placement: in-process, batch: 4}
"""


def write(folder: Path, *changes: tuple[str, str], noise: bool = False) -> str:
    """Write the job and its images: classes 0 and 1 differ in colour, 2 to 4 are rare."""
    text = JOB.replace("HEADS", str(folder / "heads"))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    draws = np.random.default_rng(0)
    images = draws.integers(0, 60, (90, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(90) % 3
    if not noise:
        images[np.arange(90), :, :, labels] += 150
    np.savez(folder / "images.npz", images=images, labels=labels)
    path = folder / "job.yaml"
    path.write_text(text)
    return str(path)


def absent(loaded: LoadedJob) -> list[Problem]:
    """Return what `check` and `run` say of heads that are not there."""
    return inspect(loaded.draft, BEFORE_A_RUN)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "heads").glob("*/*.safetensors"))


def test_a_job_gets_the_heads_that_its_attack_needs(tmp_path, capsys):
    job = write(tmp_path)
    plan = load(job)
    line = 1 + Path(job).read_text().splitlines().index("    objective: fd")
    before = absent(open_job(job))
    assert [problem.where for problem in before] == [f"{job}:{line}: attacks[1].objective"] * 2
    assert "'s0' has no heads in" in str(before[0])
    assert "for class 0, 1, 2; train them with: gauntlet heads train JOB" in str(before[0])
    assert heads.train(job, [], None, 5000) == 0
    assert absent(open_job(job)) == []
    assert len(files(tmp_path)) == 6  # two surrogates, three wanted classes
    assert "s0, 1: 0 heads are there, 3 to train" in capsys.readouterr().out
    # The attacked images have trained no head.
    stored = np.load(tmp_path / "images.npz")["images"]
    hashes = image_hashes(torch.from_numpy(stored).permute(0, 3, 1, 2).float() / 255)
    for path in files(tmp_path):
        head = read_head(path, torch.device("cpu"), torch.float32)
        assert head.auc > 0.99
        assert torch.equal(head.trained_on, hashes[6:].sort().values)
    # Once is enough.
    times = [path.stat().st_mtime_ns for path in files(tmp_path)]
    assert heads.train(job, [], None, 5000) == 0
    assert [path.stat().st_mtime_ns for path in files(tmp_path)] == times
    assert "3 heads are there, 0 to train" in capsys.readouterr().out
    # The run finds them.
    outcome = launch(plan, str(tmp_path / "run"))
    assert outcome.units_failed == 0
    assert not len(results.read(str(tmp_path / "run"), "failures"))


def test_attacking_an_image_that_trained_a_head_is_refused(tmp_path):
    job = write(tmp_path)
    heads.train(job, [], None, 5000)
    outcome = launch(load(job, ["data.limit=8"]), str(tmp_path / "run"))
    assert outcome.units_failed > 0
    reasons = " ".join(results.read(str(tmp_path / "run"), "failures")["reason"])
    assert "which is attacked" in reasons
    # Training again replaces those heads.
    assert heads.train(job, ["data.limit=8"], None, 5000) == 0
    assert launch(load(job, ["data.limit=8"]), str(tmp_path / "again")).units_failed == 0


def test_other_settings_and_other_weights_need_other_heads(tmp_path):
    job = write(tmp_path)
    heads.train(job, [], None, 5000)
    for change in (
        "surrogates.0.options.seed=7",
        "attacks.1.options.fd.layer='0'",
        "attacks.1.options.fd.training.hidden=9",
    ):
        assert absent(open_job(job, [change])), change


def test_images_of_another_job_and_fewer_of_them(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    source = write(other, (", limit: 6", ", limit: 80"))
    job = write(tmp_path, (", limit: 6", ""))
    everything = "every image is attacked, and none is left to train heads on"
    with pytest.raises(BadInput, match=everything):
        heads.train(job, [], None, 5000)
    # The same pixels under another name are the same images.
    with pytest.raises(BadInput, match=everything):
        heads.train(job, [], source, 5000)
    assert heads.train(job, ["data.limit=6"], source, 40) == 0
    head = read_head(files(tmp_path)[0], torch.device("cpu"), torch.float32)
    assert 34 <= len(head.trained_on) <= 40


def test_a_head_that_learned_nothing_is_announced(tmp_path, capsys):
    assert heads.train(write(tmp_path, noise=True), [], None, 5000) == 1
    assert "below 0.9, the attack will refuse it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("objective: fd", "objective: logit"), "options for 'fd'"),
        (('layer: "1"', 'layer: "11"'), r"options\.fd\.layer: fd on surrogate 's0': unknown layer"),
        (("goal: targeted", "goal: untargeted"), "'fd' moves towards a wanted class"),
    ],
)
def test_wrong_jobs_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(BadInput, match=message):
        heads.train(write(tmp_path, change), [], None, 5000)


def test_a_job_without_fd_needs_no_heads(tmp_path):
    start = JOB.index("  - base: mi")
    job = write(tmp_path, (JOB[start : JOB.index("resources")].replace(
        "HEADS", str(tmp_path / "heads")), ""))  # fmt: skip
    assert absent(open_job(job)) == []
    with pytest.raises(BadInput, match="no attack has `objective: fd`"):
        heads.train(job, [], None, 5000)


def test_the_command_line(tmp_path):
    def gauntlet(*arguments):
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})

    text = gauntlet("train", "--help").output
    for word in ("--images", "--limit", "--set", "Exit status", "gauntlet heads train job.yaml"):
        assert word in text
    job = write(tmp_path)
    done = gauntlet(
        "train", job, "--limit", "60", "--set", "attacks.1.options.fd.training.steps=40"
    )
    assert done.exit_code == 0, done.output
    assert done.output.count("AUC") == 6
    wrong = gauntlet("train", job, "--set", "attacks.1.options.fd.layer='9'")
    assert wrong.exit_code == 2
    assert "unknown layer '9'" in wrong.output


def test_images_without_labels_are_refused(tmp_path):
    with pytest.raises(BadInput, match="--images: the job's data has no labels"):
        heads.train(write(tmp_path), [], "demo", 5000)
