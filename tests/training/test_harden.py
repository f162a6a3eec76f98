"""Adversarial fine-tuning: the images, the updates, the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.models import architectures
from gauntlet.pipeline.models.build import build, check
from gauntlet.pipeline.models.checkpoint import weights_fingerprint
from gauntlet.pipeline.models.defences.jpeg import Jpeg
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.heads import image_hashes
from gauntlet.pipeline.models.mean import MeanLogits
from gauntlet.pipeline.models.model import Model, adapt
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.training.fine_tuning import fine_tune, trainable
from gauntlet.pipeline.training.harden import harden, write_hardened
from gauntlet.pipeline.training.robustness import accuracy
from gauntlet.pipeline.training.settings import HardenSettings
from gauntlet.pipeline.training.trained_file import about_trained
from gauntlet.pipeline.training.unattacked import apart
from tests.toys.classifiers import NOBODY, Residual, colours, examples, images, model, network

BRIEF = HardenSettings(
    epsilon=6 / 255, epochs=20, batch=24, rate=0.02, validation=0.3, judge_steps=5
)


def test_robust_accuracy_counts_what_is_right_before_and_after(tmp_path: Path) -> None:
    net, data = model(), images(tmp_path)
    like = next(net.parameters())
    none = accuracy(net, data, Ball("linf", 1e-9), 1, 0, like)
    assert none.clean == none.robust > 0.7
    found = accuracy(net, data, Ball("linf", 6 / 255), 5, 0, like)
    assert found.clean == none.clean
    assert found.robust < found.clean - 0.2
    assert accuracy(net, data, Ball("linf", 1.0), 5, 0, like).robust == 0


@pytest.mark.parametrize(
    "change", [{}, {"norm": "l2", "epsilon": 0.3}, {"optimiser": "adamw", "rate": 0.005}]
)
def test_a_hardened_network_is_more_robust(tmp_path: Path, change: dict[str, object]) -> None:
    net, data = model(), images(tmp_path)
    before = weights_fingerprint(net.network)
    epochs: list[int] = []
    settings = HardenSettings(**{**BRIEF.model_dump(), **change})
    done = harden(net, data, settings, lambda epoch, mean: epochs.append(epoch))
    assert weights_fingerprint(net.network) == before
    assert done.sound
    assert done.after.robust > done.before.robust + 0.04
    assert epochs == list(range(1, 21))
    assert done.losses[-1] < done.losses[0]
    assert not done.network.training
    assert len(done.training) == 168
    assert len(done.held_out) == 72
    assert not set(done.training.ids) & set(done.held_out.ids)


def test_a_network_that_did_not_become_more_robust_is_not_sound(tmp_path: Path) -> None:
    done = harden(model(), images(tmp_path), BRIEF.model_copy(update={"rate": 1e-9, "epochs": 1}))
    assert done.after == done.before
    assert not done.sound


def test_training_is_keyed_and_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    net, data = model(), images(tmp_path).rows(torch.arange(60))
    brief = BRIEF.model_copy(update={"epochs": 2})
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(weights_fingerprint(harden(net, data, brief).network))
        assert torch.equal(before, torch.get_rng_state())
    assert found[0] == found[1]
    for field, value in {"norm": "l2", "epsilon": 1 / 255, "steps": 1, "step_size": 1 / 255,
                         "batch_norm": "updated", "epochs": 1, "batch": 12, "optimiser": "adamw",
                         "rate": 0.01, "weight_decay": 0.1, "clip": 0.01, "flips": False,
                         "validation": 0.5, "seed": 1}.items():  # fmt: skip
        other = harden(net, data, brief.model_copy(update={field: value}))
        assert weights_fingerprint(other.network) != found[0], field


def test_batch_norm_is_frozen_or_follows(tmp_path: Path) -> None:
    net, data = model(), images(tmp_path)
    brief = BRIEF.model_copy(update={"epochs": 1})
    for choice, same in (("frozen", True), ("updated", False)):
        done = harden(net, data, brief.model_copy(update={"batch_norm": choice}))
        assert isinstance(done.network, Residual)
        assert isinstance(net.network, Residual)
        mean = done.network.norm.running_mean
        assert mean is not None
        assert net.network.norm.running_mean is not None
        assert torch.equal(mean, net.network.norm.running_mean) is same
        assert not torch.equal(done.network.norm.weight, net.network.norm.weight)


def test_inner_steps_never_see_training_mode(tmp_path: Path) -> None:
    inner: dict[bool, set[bool]] = {True: set(), False: set()}

    def watch(net: nn.Module, images: tuple[torch.Tensor, ...]) -> None:
        inner[images[0].requires_grad].add(any(part.training for part in net.modules()))

    net = model()
    net.network.register_forward_pre_hook(watch)  # copied with the network
    harden(net, images(tmp_path), BRIEF.model_copy(update={"epochs": 1, "batch_norm": "updated"}))
    assert inner == {True: {False}, False: {False, True}}


def test_attacked_and_repeated_images_are_left_out(tmp_path: Path) -> None:
    everything = examples(tmp_path)
    whole = apart(everything, NOBODY)
    assert len(whole) == 240
    pixels, _ = colours()
    left = apart(everything, image_hashes(pixels[:230]))
    assert left.ids == everything.ids[230:]
    assert torch.equal(left.hashes, image_hashes(pixels[230:]))
    with np.load(tmp_path / "images.npz") as stored:
        rows = [0, 1, 2, 1, 0]
        np.savez(tmp_path / "twice.npz", images=stored["images"][rows], labels=np.array(rows) % 3)
    repeated = Npz(source="npz", path="twice.npz")
    twice = open_examples(repeated, Goal.UNTARGETED, root=tmp_path, seed=0)
    assert apart(twice, NOBODY).ids == twice.ids[:3]
    with pytest.raises(BadInput, match="1 of 240 images are not attacked"):
        apart(everything, image_hashes(pixels[:239]))


def test_the_split_depends_on_names_and_seed_alone(tmp_path: Path) -> None:
    data = images(tmp_path)
    training, held_out = data.split(0.2, 0)
    turned = data.rows(torch.arange(239, -1, -1)).split(0.2, 0)
    assert set(turned[1].ids) == set(held_out.ids)
    assert set(data.split(0.2, 1)[1].ids) != set(held_out.ids)
    assert [len(part) for part in data.rows(torch.arange(2)).split(0.9, 0)] == [1, 1]
    assert torch.equal(training.batch(torch.tensor([0])).images, data.batch(
        torch.tensor([data.ids.index(training.ids[0])])).images)  # fmt: skip


def test_the_file_is_loaded_strictly_by_a_file_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = architectures.Architecture(
        Residual, Task.CLASSIFICATION, (8, 8), (0.0,) * 3, (1.0,) * 3, summary="for this test"
    )
    monkeypatch.setitem(architectures.ARCHITECTURES, "small", own)
    net, data = model(), images(tmp_path)
    done = harden(net, data, BRIEF)
    path = tmp_path / "new" / "hard.safetensors"
    write_hardened(path, done, net, BRIEF)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    spec = ModelSpec(name="hard", source=f"file:{path}", architecture="small")
    again = build(spec)
    assert again.weights_fingerprint == weights_fingerprint(done.network)
    batch, _ = colours()
    with torch.no_grad():
        torch.testing.assert_close(again(batch), done.network(batch), rtol=0, atol=0)
    assert again.description.adversarial == "PGD-AT, l_inf 6/255"
    wrong = check(spec.model_copy(update={"adversarial": False}), tmp_path)
    assert [problem.where for problem in wrong] == ["adversarial"]
    about = about_trained(path)
    assert about["method"] == "harden"
    assert about["original"]["weights"] == net.weights_fingerprint
    assert about["original"]["fingerprint"] == net.fingerprint
    assert HardenSettings(**about["settings"]) == BRIEF
    for moment, found in (("before", done.before), ("after", done.after)):
        assert about["accuracy"][moment] == {"clean": found.clean, "robust": found.robust}
    assert about["training"]["count"] == 168
    contents = {int(text, 16) for text in about["training"]["contents"]}
    assert contents == {value % 2**64 for value in done.training.hashes.tolist()}
    assert len(about["training"]["ids_sha256"]) == 64


def test_other_sources_get_their_weights_back(tmp_path: Path) -> None:
    net, data = model(), images(tmp_path)
    done = harden(net, data, BRIEF.model_copy(update={"epochs": 1}))
    path = tmp_path / "hard.safetensors"
    write_hardened(path, done, net, BRIEF)
    own = {"source": "import:tests.toys.classifiers:network"}
    again = build(ModelSpec(name="a", source=f"trained:{path}", options=own), permission=granted())
    assert again.weights_fingerprint == weights_fingerprint(done.network)
    other = {"source": "import:tests.toys.jobs:network", "seed": 0}
    with pytest.raises(BadInput, match="does not fit"):
        build(ModelSpec(name="a", source=f"trained:{path}", options=other), permission=granted())


def test_models_that_cannot_be_trained_are_refused(tmp_path: Path) -> None:
    data = images(tmp_path)
    mean = Model(MeanLogits([model(), model()]), Description(name="mean"))
    shown = Model(network(), Description(name="hidden", defence=Jpeg(kind="jpeg")))
    for wrong, message in (
        (adapt(network(), task=Task.VERIFICATION), "gives embeddings"),
        (mean, "is the mean of several networks"),
        (shown, "stands behind a defence"),
        (adapt(nn.Flatten()), "has no weights"),
        (adapt(nn.Sequential(nn.Flatten(), nn.Linear(192, 2))), "has classes 0 to 1, the images"),
    ):
        with pytest.raises(BadInput, match=message):
            trainable(wrong, data)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    data = images(tmp_path)
    weight = nn.Parameter(torch.ones(1))
    with pytest.raises(BadInput, match="loss of update 1 is inf"):
        fine_tune([weight], data, BRIEF, lambda batch, draws: weight / 0, model="m")
