"""Networks of ONNX files: the same numbers and gradients as torch's, and nothing that runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.build import build, check, describe, weights_file
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput

LINE = "pip install 'gauntlet[onnx]'"
onnx: Any = pytest.importorskip("onnx", reason=LINE)
pytest.importorskip("onnx2torch", reason=LINE)
FACES = Task.VERIFICATION


def small() -> nn.Module:
    """A network of the parts that face networks have."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.PReLU(4),
            nn.Conv2d(4, 4, 3, 1, 1, groups=4), nn.BatchNorm2d(4),
            nn.Flatten(), nn.Linear(4 * 16, 6), nn.BatchNorm1d(6),
        )  # fmt: skip
        for part in network.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.uniform_(part.bias)
    return network.eval()


@pytest.mark.filterwarnings("ignore")
def export(
    network: nn.Module, path: Path, size: int = 8, batch: bool = True, **options: Any
) -> None:
    axes: dict[str, Any] = {"dynamic_axes": {"images": {0: "n"}}} if batch else {}
    images = torch.rand(1, 3, size, size)
    torch.onnx.export(
        network, (images,), str(path), dynamo=False, input_names=["images"], **axes, **options
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    export(small(), path)
    return path


def spec(name: str, **fields: Any) -> ModelSpec:
    return ModelSpec(name="m", source=f"onnx:{name}", **fields)


def refusal(path: Path) -> str:
    (problem,) = check(spec(path.name), path.parent, FACES)
    return str(problem)


def changed(file: Path, name: str, change: Callable[[Any], None]) -> Path:
    model = onnx.load(str(file))
    change(model)
    path = file.with_name(name)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("opset", [13, 17, 20])
def test_it_is_the_exported_network_with_its_gradient(opset: int, tmp_path: Path) -> None:
    export(small(), tmp_path / "net.onnx", opset_version=opset)
    wanted = spec("net.onnx", mean=(0.5, 0.4, 0.3), std=(0.5, 0.5, 0.5), channels="bgr")
    assert check(wanted, tmp_path, FACES) == []
    assert str(describe(wanted, tmp_path)).startswith("m: onnx:net.onnx; 8x8 (bilinear), bgr, mean")
    assert weights_file(wanted, tmp_path) == tmp_path / "net.onnx"
    model = build(wanted, root=tmp_path, task=FACES)
    images = torch.rand(3, 3, 8, 8, requires_grad=True)
    scaled = (images.flip(1) - torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1)) / 0.5
    found, expected = model(images), small()(scaled)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(found.square().sum(), images)
    (right,) = torch.autograd.grad(expected.square().sum(), images)
    torch.testing.assert_close(gradient, right, rtol=1e-4, atol=1e-5)
    assert right.abs().max() > 1e-3


@pytest.mark.slow
def test_a_face_network_of_insightface_loads(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ARCHITECTURES["insightface-iresnet18"].constructor().eval()
    export(network, tmp_path / "r18.onnx", 112)
    model = build(spec("r18.onnx"), root=tmp_path, task=FACES)
    images = torch.rand(2, 3, 112, 112, requires_grad=True)
    torch.testing.assert_close(model(images), network(images), rtol=1e-5, atol=1e-5)
    model(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum(dim=(1, 2, 3)).min() > 0


def test_a_node_s_name_is_no_program(file: Path) -> None:
    mark = file.with_name("ran")

    def named(model: Any) -> None:
        for node in model.graph.node:
            node.name = f'training" if open("{mark}", "w") else "x'

    path = changed(file, "named.onnx", named)
    images = torch.rand(2, 3, 8, 8)
    found = build(spec(path.name), root=path.parent, task=FACES)
    assert torch.equal(found(images), build(spec(file.name), root=file.parent, task=FACES)(images))
    assert not mark.exists()
    # The same numbers, but not the same file: what is done with weights is in it, too.
    assert found.fingerprint != build(spec(file.name), root=file.parent, task=FACES).fingerprint


def test_what_is_no_list_of_known_operators_is_refused(file: Path) -> None:
    def domain(model: Any) -> None:
        model.graph.node[1].domain = "com.example"
        model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))

    def unknown(model: Any) -> None:
        model.graph.node[1].op_type = "Hardmax"

    def loop(model: Any) -> None:
        body = onnx.helper.make_attribute("body", model.graph)
        model.graph.node[0].attribute.append(body)

    def inputs(model: Any) -> None:
        model.graph.input.append(model.graph.input[0])
        model.graph.input[1].name = "more"

    for change, said in [
        (domain, "has operators that ONNX does not define (com.example)"),
        (unknown, "operators that the converter does not know: Hardmax (opset 17)"),
        (loop, "has graphs inside its nodes"),
        (inputs, "takes images ['n', 3, 8, 8]; more ['n', 3, 8, 8]; expected images (B, 3, H, W)"),
    ]:
        assert said in refusal(changed(file, "other.onnx", change))


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    for content, said in [
        (b"<!doctype html>", "this is a web page"),
        (b"\x08\x08garbage", "damaged, or no ONNX file"),
        (b"\x08\x08", "damaged, or no ONNX file: there is no network in it"),
    ]:
        (tmp_path / "net.onnx").write_bytes(content)
        assert said in refusal(tmp_path / "net.onnx")
    assert "no such file" in refusal(tmp_path / "nothing.onnx")
    (problem,) = check(spec("net.onnx", sha256="01234567"), tmp_path, FACES)
    assert "which is not that of the job" in problem.what


def test_weights_lie_beside_the_file_or_are_refused(file: Path) -> None:
    def elsewhere(location: str, **more: str) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
            file.with_name("weights.bin").write_bytes(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in {"location": location, **more}.items():
                tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=value))

        return change

    path = changed(file, "apart.onnx", elsewhere("weights.bin"))
    images = torch.rand(2, 3, 8, 8)
    both = [build(spec(p.name), root=p.parent, task=FACES)(images) for p in (path, file)]
    assert torch.equal(*both)
    file.with_name("link.bin").symlink_to(Path("/etc/hostname"))
    for change, said in [
        (elsewhere("../weights.bin"), "which is not in its own folder"),
        (elsewhere("/etc/hostname"), "which is not in its own folder"),
        (elsewhere("link.bin"), "which is not in its own folder"),
        (elsewhere("gone.bin"), "which is not beside it: fetch both"),
        (elsewhere("weights.bin", offset="8", length="999999"), "ends before the weights"),
        (elsewhere("weights.bin", offset="-8"), "ends before the weights"),
    ]:
        assert said in refusal(changed(file, "apart.onnx", change))


def test_a_file_for_one_image_at_a_time_is_refused(tmp_path: Path) -> None:
    class Viewed(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.reshape(1, -1)

    export(Viewed(), tmp_path / "one.onnx", batch=False)
    assert check(spec("one.onnx"), tmp_path, FACES) == []
    with pytest.raises(BadInput, match=r"exported for 1 image at a time .*dynamic axes"):
        build(spec("one.onnx"), root=tmp_path, task=FACES)
    export(small(), tmp_path / "any.onnx", batch=False)
    build(spec("any.onnx"), root=tmp_path, task=FACES)
