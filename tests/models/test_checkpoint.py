"""Checkpoints: strict, and never trusted."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.checkpoint import (
    inspect_checkpoint,
    load_checkpoint,
    read_checkpoint,
    weights_fingerprint,
)
from gauntlet.pipeline.problems import BadInput

NETWORK = "cifar-resnet-20"


def network() -> nn.Module:
    return ARCHITECTURES[NETWORK].constructor()


@pytest.mark.parametrize(
    ("file", "architecture", "parameters", "entries"),
    [
        ("resnet20-cifar10", "cifar-resnet-20", 269_722, 97),
        ("resnet32-cifar10", "cifar-resnet-32", 464_154, 157),
        ("resnet44-cifar10", "cifar-resnet-44", 658_586, 217),
        ("resnet56-cifar10", "cifar-resnet-56", 853_018, 277),
        ("mobilefacenet-ms1m-112", "mobilefacenet-112", 999_936, 307),
    ],
)
def test_published_checkpoints_load_strictly(
    data_root: Path, file: str, architecture: str, parameters: int, entries: int
) -> None:
    made = ARCHITECTURES[architecture].constructor()
    path = data_root / f"{file}.safetensors"
    load_checkpoint(path, made, architecture)
    assert sum(parameter.numel() for parameter in made.parameters()) == parameters
    state = read_checkpoint(path)
    assert len(state) == entries
    assert inspect_checkpoint(path) == {name: tuple(v.shape) for name, v in state.items()}
    for name, value in made.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, state[name]), name


def documented_112x96() -> dict[str, Tensor]:
    """Write out the documented entries of the 112 x 96 layout, from its table alone."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{entry}"] = (width,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def unit(name: str, kernel: tuple[int, int, int, int], slope: bool) -> None:
        shapes[f"{name}.conv.weight"] = kernel
        norm(f"{name}.bn", kernel[0])
        if slope:
            shapes[f"{name}.prelu.weight"] = (kernel[0],)

    unit("conv1", (64, 3, 3, 3), True)
    unit("dw_conv1", (64, 1, 3, 3), True)
    widths = [64] * 6 + [128] * 10
    for block in range(15):
        before, after = widths[block], widths[block + 1]
        hidden = before * (4 if block in (5, 12) else 2)
        name = f"blocks.{block}.conv"
        shapes[f"{name}.0.weight"] = (hidden, before, 1, 1)
        norm(f"{name}.1", hidden)
        shapes[f"{name}.2.weight"] = (hidden,)
        shapes[f"{name}.3.weight"] = (hidden, 1, 3, 3)
        norm(f"{name}.4", hidden)
        shapes[f"{name}.5.weight"] = (hidden,)
        shapes[f"{name}.6.weight"] = (after, hidden, 1, 1)
        norm(f"{name}.7", after)
    unit("conv2", (512, 128, 1, 1), True)
    unit("linear7", (512, 1, 7, 6), False)
    unit("linear1", (128, 512, 1, 1), False)
    return {
        name: torch.full(shape, 0.01) if shape else torch.tensor(7)
        for name, shape in shapes.items()
    }


def test_documented_112x96_layout_loads_strictly(tmp_path: Path) -> None:
    state = documented_112x96()
    assert len(state) == 333
    learned = (name for name in state if "running_" not in name and "num_batches" not in name)
    assert sum(state[name].numel() for name in learned) == 999_552
    path = tmp_path / "mobilefacenet.pt"
    torch.save(state, path)
    made = ARCHITECTURES["mobilefacenet-112x96"].constructor()
    load_checkpoint(path, made, "mobilefacenet-112x96")
    made.load_state_dict(state, strict=True)
    assert list(made.state_dict()) == list(state)
    assert made.eval()(torch.rand(2, 3, 112, 96)).shape == (2, 128)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_wrappers_and_prefixes_are_taken_off(
    tmp_path: Path, wrapper: str | None, prefix: str
) -> None:
    source = network()
    state = OrderedDict((prefix + name, value) for name, value in source.state_dict().items())
    path = tmp_path / "wrapped.pth"
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    target = network()
    load_checkpoint(path, target, NETWORK)
    assert weights_fingerprint(target) == weights_fingerprint(source)
    assert "conv1.weight" in inspect_checkpoint(path)


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("form", ["torch", "plain pickle"])
def test_trap_20_checkpoints_load_safely(tmp_path: Path, form: str) -> None:
    evidence, path = tmp_path / "executed", tmp_path / "bad.pt"
    content = {"conv1.weight": torch.zeros(1), "bomb": Bomb(evidence)}
    if form == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps({"bomb": Bomb(evidence)}, protocol=2))
    for read in (read_checkpoint, inspect_checkpoint):
        with pytest.raises(BadInput, match=r"refused.*run any code.*safetensors"):
            read(path)
    assert not evidence.exists()
    # The control: an unguarded load does run it.
    if form == "torch":
        torch.load(path, weights_only=False)
        assert evidence.exists()


def _safetensors(path: Path, cut: int = 0, add: bytes = b"") -> Path:
    save_file({"weight": torch.zeros(100)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut] + add)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html><head><title>Google Drive", r"web page \(46 bytes.*Google Drive"),
        (b'\n<html lang="en">virus scan warning', "web page"),
        (b'<?xml version="1.0"?><html>', "web page"),
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"PK\x03\x04" + b"x" * 500, r"truncated PyTorch checkpoint.*504 bytes"),
        (b"\x80\x02}q\x00", "damaged or unsupported"),
        (b"GIF89a" + b"x" * 50, "neither"),
    ],
)
@pytest.mark.parametrize("name", ["a.pt", "a.pth"])
def test_trap_20_files_that_are_no_checkpoints(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (read_checkpoint, inspect_checkpoint):
        with pytest.raises(BadInput, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_trap_20_a_web_page_named_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_text("<html><body>Quota exceeded</body></html>")
    with pytest.raises(BadInput, match="web page"):
        inspect_checkpoint(path)


def test_trap_20_truncated_safetensors_say_the_sizes(tmp_path: Path) -> None:
    path = _safetensors(tmp_path / "a.safetensors")
    size = path.stat().st_size
    _safetensors(path, cut=30)
    message = rf"truncated safetensors.*promises {size:,} bytes, the file has {size - 30:,}"
    with pytest.raises(BadInput, match=message):
        inspect_checkpoint(path)
    _safetensors(path, cut=size - 20)
    with pytest.raises(BadInput, match="header alone takes"):
        inspect_checkpoint(path)
    _safetensors(path, add=b"more")
    with pytest.raises(BadInput, match="damaged safetensors"):
        read_checkpoint(path)
    path.write_bytes((4).to_bytes(8, "little") + b"{no}")
    with pytest.raises(BadInput, match="damaged safetensors header"):
        read_checkpoint(path)


def test_a_header_as_long_as_the_byte_of_a_pickle_is_still_a_header(tmp_path: Path) -> None:
    path, state = tmp_path / "net.safetensors", network().state_dict()
    for filling in range(0, 512, 8):
        save_file(state, path, {"about": "x" * filling})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert read_checkpoint(path).keys() == state.keys()
    load_checkpoint(path, network(), NETWORK)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    with pytest.raises(BadInput, match="truncated safetensors file: the header promises"):
        inspect_checkpoint(path)
    path.write_bytes(whole[:100])
    with pytest.raises(BadInput, match="truncated safetensors file: its header alone takes"):
        inspect_checkpoint(path)


def test_truncated_torch_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BadInput, match="truncated PyTorch checkpoint"):
        read_checkpoint(path)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = _safetensors(tmp_path / "a.pt")
    assert inspect_checkpoint(path) == {"weight": (100,)}
    torch.save({"weight": torch.ones(3)}, tmp_path / "b.safetensors")
    assert read_checkpoint(tmp_path / "b.safetensors")["weight"].tolist() == [1, 1, 1]


def test_absent_file_suggests_a_near_name(tmp_path: Path) -> None:
    _safetensors(tmp_path / "resnet20.safetensors")
    with pytest.raises(BadInput, match=r"no such file; did you mean resnet20\.safetensors"):
        inspect_checkpoint(tmp_path / "resnet2.safetensors")
    with pytest.raises(BadInput, match="folder"):
        inspect_checkpoint(tmp_path)


def test_zip_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    (tmp_path / "a.pt").write_bytes(buffer.getvalue())
    with pytest.raises(BadInput, match="damaged or unsupported"):
        read_checkpoint(tmp_path / "a.pt")
    torch.save({"epoch": 3, "note": "no weights"}, tmp_path / "b.pt")
    with pytest.raises(BadInput, match="'epoch' of type int"):
        read_checkpoint(tmp_path / "b.pt")


def test_mismatch_lists_entries_and_hints_at_the_right_architecture(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(ARCHITECTURES["cifar-resnet-32"].constructor().state_dict(), path)
    with pytest.raises(BadInput, match=r"60 unexpected.*'cifar-resnet-32' exactly"):
        load_checkpoint(path, network(), NETWORK)
    state = network().state_dict()
    del state["bn1.weight"]
    state["linear.weight"] = torch.zeros(100, 64)
    save_file(state, path)
    with pytest.raises(BadInput) as caught:
        load_checkpoint(path, network(), NETWORK)
    message = str(caught.value)
    assert "1 missing: bn1.weight" in message
    assert "1 misshaped: linear.weight (network [10, 64], checkpoint [100, 64])" in message
    assert "matches" not in message


def test_fingerprint_is_of_the_content() -> None:
    first = network()
    other = network()
    other.load_state_dict(first.state_dict())
    other.bn1.num_batches_tracked += 5  # type: ignore[operator, union-attr]
    assert weights_fingerprint(first) == weights_fingerprint(other)
    assert weights_fingerprint(first) == weights_fingerprint(other.double())
    other = other.float()
    other.bn1.running_mean[0] += 1e-3  # type: ignore[index, operator, union-attr]
    assert weights_fingerprint(first) != weights_fingerprint(other)


@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_trap_20_whatever_bit_is_wrong_the_file_is_named(tmp_path: Path, form: str) -> None:
    path, state = tmp_path / "net.bin", {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    if form == "torch":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        save_file(state, path)
    sound = path.read_bytes()
    refused = []
    for position in range(0, min(len(sound), 600)):
        path.write_bytes(sound[:position] + bytes([sound[position] ^ 4]) + sound[position + 1 :])
        for read in (inspect_checkpoint, read_checkpoint):
            try:
                read(path)
            except BadInput as error:
                refused.append(str(error))
    assert len(refused) > 100
    assert all(str(path) in message for message in refused)


def test_trap_20_a_header_without_types_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"weight": torch.ones(2, 3)}, path)
    path.write_bytes(path.read_bytes().replace(b'"dtype"', b'"dtypo"'))
    with pytest.raises(BadInput, match="'weight' has no dtype"):
        inspect_checkpoint(path)
