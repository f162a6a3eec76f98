"""Specs to models, and everything that can be wrong with a spec."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.build import build, check, describe
from gauntlet.pipeline.models.checkpoint import weights_fingerprint
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.problems import BadInput

HERE = Path(".")


def spec(source: str, **fields: Any) -> ModelSpec:
    return ModelSpec(name="m", source=source, **fields)


def noise(rows: int, height: int, width: int) -> Tensor:
    return Draws.keyed(0, [str(row) for row in range(rows)]).uniform("x", (3, height, width))


def cifar(depth: int, **fields: Any) -> ModelSpec:
    source = f"file:resnet{depth}-cifar10.safetensors"
    return spec(source, architecture=f"cifar-resnet-{depth}", **fields)


@pytest.mark.parametrize(("depth", "accuracy"), [(20, 81.3), (32, 80.7), (44, 82.6), (56, 84.4)])
def test_cifar_accuracy_is_the_published_one(data_root: Path, depth: int, accuracy: float) -> None:
    with np.load(data_root / "cifar10-test-1000.npz", allow_pickle=False) as data:
        images = torch.from_numpy(data["images"]).permute(0, 3, 1, 2).float() / 255
        labels = torch.from_numpy(data["labels"])
    model = build(cifar(depth), root=data_root, fold=True)
    with torch.inference_mode():
        right = torch.cat([model(part).argmax(1) for part in images.split(250)]) == labels
    assert 100 * right.double().mean() == pytest.approx(accuracy, abs=0.051)


@pytest.mark.parametrize(("mirror", "threshold"), [(False, 0.3359), (True, 0.3618)])
def test_mobilefacenet_separates_people(data_root: Path, mirror: bool, threshold: float) -> None:
    with np.load(data_root / "orl-faces-112.npz", allow_pickle=False) as data:
        images = torch.from_numpy(data["images"]).permute(0, 3, 1, 2).float() / 255
    rows = np.loadtxt(data_root / "orl-pairs.csv", delimiter=",", skiprows=1, dtype=int)[::40]
    pairs = torch.from_numpy(rows)
    source = "file:mobilefacenet-ms1m-112.safetensors"
    faces = spec(source, architecture="mobilefacenet-112", mirror=mirror)
    model = build(faces, root=data_root, fold=True)
    assert model.task is Task.VERIFICATION
    with torch.inference_mode():
        first, second = model(images[pairs[:, 0]]), model(images[pairs[:, 1]])
    accepted = F.cosine_similarity(first, second) >= threshold
    assert first.shape == (30, 128)
    assert torch.equal(accepted, pairs[:, 2].bool())


def test_precision_and_fingerprints(data_root: Path) -> None:
    single = build(cifar(20), root=data_root)
    double = build(cifar(20, defence={"kind": "jpeg"}), root=data_root, dtype=torch.float64)
    assert double(noise(1, 32, 32).double()).dtype == torch.float64
    # Mean and std are those of the spec to the last digit, not rounded to float32 on the way.
    assert double.mean.flatten().tolist() == [0.485, 0.456, 0.406]
    assert double.weights_fingerprint == single.weights_fingerprint
    assert double.fingerprint != single.fingerprint
    assert single.fingerprint == build(cifar(20), root=data_root).fingerprint
    assert single.fingerprint != build(cifar(20, channels="bgr"), root=data_root).fingerprint


@pytest.mark.parametrize(
    ("source", "options", "size", "outputs"),
    [
        ("timm/mobilenetv3_small_050", {}, (224, 224), 1000),
        ("timm/mobilenetv3_small_050.lamb_in1k", {"num_classes": 0}, (224, 224), 1024),
        ("torchvision/squeezenet1_1", {}, (224, 224), 1000),
        ("torchvision/squeezenet1_1", {"num_classes": 7}, (224, 224), 7),
        ("facenet/vggface2", {}, (160, 160), 512),
    ],
)
def test_networks_of_packages_build_and_answer(
    source: str, options: dict[str, Any], size: tuple[int, int], outputs: int
) -> None:
    model = build(spec(source, options={"pretrained": False, **options}))
    assert model.input_size == size
    embeds = source.startswith("facenet") or options.get("num_classes") == 0
    assert model.task is (Task.VERIFICATION if embeds else Task.CLASSIFICATION)
    with torch.inference_mode():
        assert model(noise(2, 112, 112)).shape == (2, outputs)


def test_conventions_come_from_the_source() -> None:
    timm_one = describe(spec("timm/resnet50.a1_in1k"), HERE)
    assert timm_one.preprocessing.input_size == (224, 224)
    assert timm_one.preprocessing.resize == "bicubic"
    assert timm_one.preprocessing.mean == (0.485, 0.456, 0.406)
    assert describe(spec("timm/inception_v3"), HERE).preprocessing.input_size == (299, 299)
    assert describe(spec("torchvision/vit_h_14"), HERE).preprocessing.input_size == (518, 518)
    face = describe(spec("facenet/vggface2", mirror=True, defence={"kind": "jpeg"}), HERE)
    assert face.preprocessing.mean == (0.5, 0.5, 0.5)
    assert face.preprocessing.std == pytest.approx((128 / 255,) * 3)
    assert str(face) == (
        "m: facenet/vggface2; verification; 160x160 (bilinear), rgb, mean (0.5, 0.5, 0.5), "
        "std (0.502, 0.502, 0.502), plus mirror image; behind "
        "Jpeg(quality=75, gradient=straight-through)"
    )
    own = spec("facenet/vggface2", input_size=(80, 90), mean=(0, 0, 0), std=("1/2",) * 3)
    assert str(describe(own, HERE).preprocessing) == (
        "80x90 (bilinear), rgb, mean (0, 0, 0), std (0.5, 0.5, 0.5)"
    )


def test_weights_in_the_caches_are_used(caches: Path) -> None:
    hub = caches / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    random = {"pretrained": False}

    squeeze = build(spec("torchvision/squeezenet1_1", options=random)).network
    torch.save(squeeze.state_dict(), hub / "squeezenet1_1-b8a52dc0.pth")
    loaded = build(spec("torchvision/squeezenet1_1"))
    assert loaded.weights_fingerprint == weights_fingerprint(squeeze)

    face = InceptionResnetV1(classify=True, num_classes=10)
    torch.save(face.state_dict(), hub / "20180402-114759-vggface2.pt")
    loaded = build(spec("facenet/vggface2"))
    assert torch.equal(loaded.network.last_linear.weight, face.last_linear.weight)  # type: ignore[arg-type, union-attr]

    name = "mobilenetv3_small_050.lamb_in1k"
    small = build(spec(f"timm/{name}", options=random)).network
    put = caches / "hub" / f"models--timm--{name}" / "snapshots" / "main" / "model.safetensors"
    put.parent.mkdir(parents=True)
    save_file(small.state_dict(), put)
    assert build(spec(f"timm/{name}")).weights_fingerprint == weights_fingerprint(small)
    embeds = build(spec(f"timm/{name}", options={"num_classes": 0}))
    assert torch.equal(embeds.network.conv_stem.weight, small.conv_stem.weight)  # type: ignore[arg-type, union-attr]

    # A web page in the cache is a problem before any run; other weights are one when loading.
    put.write_text("<html>blocked by the proxy</html>")
    (problem,) = check(spec(f"timm/{name}"), HERE)
    assert "web page" in problem.what
    torch.save({"x": torch.zeros(1)}, hub / "squeezenet1_1-b8a52dc0.pth")
    with pytest.raises(BadInput, match=r"weights of torchvision/squeezenet1_1.*Missing key"):
        build(spec("torchvision/squeezenet1_1"))


@pytest.mark.parametrize(
    ("source", "url", "file"),
    [
        (
            "timm/resnet18.a1_in1k",
            "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors",
            "hub/models--timm--resnet18.a1_in1k/snapshots/main/model.safetensors",
        ),
        (
            "torchvision/resnet18",
            "https://download.pytorch.org/models/resnet18-f37072fd.pth",
            "torch/hub/checkpoints/resnet18-f37072fd.pth",
        ),
        (
            "facenet/casia-webface",
            "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
            "20180408-102900-casia-webface.pt",
            "torch/hub/checkpoints/20180408-102900-casia-webface.pt",
        ),
    ],
)
def test_missing_weights_say_what_to_fetch_and_where_to_put_it(
    caches: Path, monkeypatch: pytest.MonkeyPatch, source: str, url: str, file: str
) -> None:
    expected = f"fetch {url} where there is a network and put it at {caches / file}"
    (problem,) = check(spec(source), HERE)
    assert expected in problem.what
    # With downloads allowed but no network: the same, soon, and only when building.
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def no_network(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.OpenerDirector.open", no_network)
    assert check(spec(source), HERE) == []
    start = time.monotonic()
    with pytest.raises(BadInput) as caught:
        build(spec(source))
    assert expected in str(caught.value)
    assert "no route to host" in str(caught.value)
    assert time.monotonic() - start < 10


MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, outputs=3):
        super().__init__()
        self.head = torch.nn.Linear(3, outputs)
    def forward(self, images):
        return self.head(images.mean((2, 3)))

KEPT = Net()

def factory(outputs=3):
    return Net(outputs)

def kept():
    return KEPT

def broken():
    return "no module"
"""


def test_import_source(tmp_path: Path) -> None:
    (tmp_path / "my_nets.py").write_text(MODULE)
    mine = granted(job=tmp_path)
    made = spec("import:my_nets:factory", options={"outputs": 5})
    model = build(made, task=Task.VERIFICATION, permission=mine)
    assert model.task is Task.VERIFICATION
    assert model(noise(2, 9, 9)).shape == (2, 5)
    assert str(model.preprocessing) == "any size, rgb, no normalisation"
    assert check(made, HERE, Task.VERIFICATION, mine) == []
    kept_one = spec("import:my_nets:kept", task="verification")
    assert build(kept_one, permission=mine).task is Task.VERIFICATION
    kept: nn.Module = sys.modules["my_nets"].KEPT
    assert kept.training
    assert all(parameter.requires_grad for parameter in kept.parameters())
    for source, options, message in (
        ("import:my_nets:absent", {}, "no callable 'absent'; it defines Net, factory, kept"),
        ("import:my_nets", {}, "expected import:package.module:factory"),
        ("import:no_such_module:f", {}, "no module 'no_such_module': looked for"),
        ("import:my_nets:factory", {"width": 2}, "does not take these options"),
    ):
        (problem,) = check(spec(source, options=options), HERE, permission=mine)
        assert message in problem.what
    with pytest.raises(BadInput, match="returned str, expected a bare"):
        build(spec("import:my_nets:broken"), permission=mine)


@pytest.mark.parametrize(
    ("made", "where", "message"),
    [
        (spec("tim/resnet50"), "source", "did you mean 'timm/'"),
        (
            spec("resnet18"),
            "source",
            "did you mean 'timm/resnet18' or 'torchvision/resnet18'? known",
        ),
        (spec("resnet8"), "source", "unknown source 'resnet8'; known: "),
        (spec("zoo"), "source", "did you mean 'zoo/'? known: "),
        (spec("timm/"), "source", "nothing follows"),
        (spec("timm/resnet5O"), "source", "did you mean resnet50"),
        (spec("timm/resnet18.nope"), "source", "known: resnet18.a1_in1k"),
        (spec("torchvision/resnet19"), "source", "did you mean 'resnet18'"),
        (spec("torchvision/resnet18", options={"weights": "V9"}), "options", "IMAGENET1K_V1"),
        (spec("torchvision/resnet18", options={"foo": 1}), "options", "foo"),
        (spec("timm/resnet18", options={"foo": 1}), "options", "foo"),
        (spec("facenet/vgg"), "source", "did you mean 'vggface2'"),
        (spec("facenet/vggface2", options={"foo": 1}), "options", "foo"),
        (spec("timm/resnet18", architecture="resnet"), "architecture", "only a file: source"),
        (spec("timm/resnet18", mirror=True), "mirror", "verification"),
        (spec("timm/resnet18", std=(0, 1, 1)), "std", "positive"),
        (spec("timm/resnet18", input_size=(0, 1)), "input_size", "positive"),
        (spec("timm/resnet18", task="verification"), "task", "classification model"),
        (cifar(20, options={"foo": 1}), "options", "foo"),
    ],
)
def test_check_names_the_field(data_root: Path, made: ModelSpec, where: str, message: str) -> None:
    (problem,) = check(made, data_root)
    assert problem.where == where
    assert message in problem.what
    with pytest.raises(BadInput, match=r"\S"):
        build(made, root=data_root)


def test_check_compares_files_with_architectures(data_root: Path, tmp_path: Path) -> None:
    assert check(cifar(20), data_root, Task.CLASSIFICATION) == []
    file = "file:resnet32-cifar10.safetensors"
    (problem,) = check(spec(file, architecture="cifar-resnet-20"), data_root)
    assert problem.where == "source"
    assert "60 unexpected" in problem.what
    assert "matches architecture 'cifar-resnet-32' exactly" in problem.what
    assert check(spec(file), data_root) == []  # its entries tell
    (problem,) = check(spec(file, architecture="cifar-resnet-23"), data_root)
    assert "did you mean 'cifar-resnet-32'" in problem.what
    # Every problem of a spec comes at once.
    found = check(spec("file:absent.pt", std=(0, 0, 0)), tmp_path)
    assert [problem.where for problem in found] == ["std", "source"]


def test_check_wants_models_that_fit_the_task(data_root: Path) -> None:
    (problem,) = check(cifar(20), data_root, Task.VERIFICATION)
    assert "is a classification model, the job's task is verification" in problem.what
    (problem,) = check(spec("timm/resnet18"), data_root, Task.VERIFICATION)
    assert "num_classes: 0" in problem.what
    embeds = spec("timm/resnet18", options={"num_classes": 0})
    assert check(embeds, data_root, Task.VERIFICATION) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("zoo/a1", "TRADES, l_inf 8/255"),
        ("timm/inception_v3.tf_adv_in1k", "timm's tf_adv_in1k"),
        ("timm/inception_resnet_v2.tf_ens_adv_in1k", "timm's tf_ens_adv_in1k"),
    ],
)
def test_sources_know_adversarial_training(source: str, words: str) -> None:
    found = describe(spec(source), HERE)
    assert found.adversarial == words
    assert str(found).endswith(f"; adversarially trained ({words})")
    wrong = check(spec(source, adversarial=False), HERE)
    assert [(p.where, p.what) for p in wrong] == [
        ("adversarial", f"{source} was trained adversarially ({words})")
    ]


def test_a_spec_states_adversarial_training_where_the_source_cannot_know() -> None:
    random = {"options": {"pretrained": False}}
    assert describe(spec("timm/inception_v3.tf_adv_in1k", **random), HERE).adversarial is None
    own = spec("timm/resnet18", adversarial=True, **random)
    assert describe(own, HERE).adversarial == "as the job states"
    assert build(own).description.adversarial == "as the job states"
    wrong = check(spec("zoo/n1", adversarial=True), HERE)
    assert [(p.where, p.what) for p in wrong] == [
        ("adversarial", "zoo/n1 was not trained adversarially")
    ]


@pytest.mark.parametrize(
    ("fields", "field", "what"),
    [
        (
            {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
            "mean",
            "write mean: [123.675/255, 116.28/255, 103.53/255], "
            "std: [58.395/255, 57.12/255, 57.375/255]",
        ),
        # As Caffe's networks: nothing is divided there, and so by 1/255 here.
        (
            {"mean": (104, 117, 123)},
            "mean",
            "write mean: [104/255, 117/255, 123/255], std: [1/255, 1/255, 1/255]",
        ),
        ({"std": (255, 255, 255)}, "std", "write std: [255/255, 255/255, 255/255]"),
    ],
)
def test_mean_and_std_in_0_255_are_refused_with_what_to_write(fields, field, what):
    (problem,) = check(spec("facenet/vggface2", **fields), Path("."))
    assert problem.where == field
    assert "looks like 0..255, and the images are in [0, 1]" in problem.what
    assert problem.what.endswith(what)
    with pytest.raises(ValueError, match=f"{field}: .* looks like 0..255"):
        adapt(torch.nn.Flatten(), **fields)


@pytest.mark.parametrize("std", [(2, 2, 2), (1, 1, 1), ("1/255",) * 3])
def test_other_means_and_stds_are_taken(std):
    assert not check(spec("facenet/vggface2", mean=(1, 0, -1), std=std), Path("."))
