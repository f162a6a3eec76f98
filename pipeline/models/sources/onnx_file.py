"""Reading ONNX files without trusting them: a description of a network, and no program.

The converter, onnx2torch, makes a `torch.fx` graph of the file's nodes, and torch writes the names
of the nodes into the Python text that it compiles for that graph, quotes and all: a name could be a
program. So every node gets another name here before it is converted. Operators are those of ONNX's
own domain; what needs a library of its own, and graphs inside nodes, are refused. Weights in other
files are read only from beside the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.file_format import beginning, refuse, shown
from gauntlet.pipeline.models.sources.optional import library

_INSTALL = "pip install 'gauntlet[onnx]'"
_SOURCE = "onnx:"
_MOST = 2**31
"""Bytes of a file with its weights: protobuf, which the format is written in, ends there."""
_OWN = ("", "ai.onnx")
"""How files write ONNX's own domain of operators."""
_NEWEST = 17
"""Version of ONNX's operators up to which the converter knows nearly all of its own; files of newer
ones are brought down to it by onnx itself."""
_SHOWN = 4
_EXTERNAL = 1
"""TensorProto.EXTERNAL."""


class Converted(nn.Module):
    """The network of a file.

    Attributes:
        graph: on preprocessed images; of several outputs the first is the answer.
        file: the file's SHA-256, (32,): weights alone do not tell what is done with them.
    """

    file: Tensor

    def __init__(self, graph: nn.Module, digest: bytes) -> None:
        super().__init__()
        self.graph = graph
        self.register_buffer("file", torch.frombuffer(bytearray(digest), dtype=torch.uint8))

    def forward(self, images: Tensor) -> Any:
        """Return what the graph does."""
        return self.graph(images)


def described(path: Path) -> tuple[int, int] | None:
    """Return the height and width that a file's network takes, None for any.

    Raises:
        BadInput: when the libraries are not installed, or the file is none that can be converted.
    """
    found = _checked(path)
    high, wide = (side.dim_value for side in _images(path, found).type.tensor_type.shape.dim[2:])
    return (int(high), int(wide)) if high and wide else None


def read_network(path: Path) -> nn.Module:
    """Return the network of a file, with its weights, on the CPU.

    Raises:
        BadInput: as `described`; when the converter cannot make the network, or the network takes
            one number of images only.
    """
    model = _checked(path)
    fixed = _images(path, model).type.tensor_type.shape.dim[0].dim_value
    try:
        folder = str(path.parent)
        _onnx("onnx.external_data_helper").load_external_data_for_model(model, folder)
        if max(entry.version for entry in model.opset_import if entry.domain in _OWN) > _NEWEST:
            model = _onnx("onnx.version_converter").convert_version(model, _NEWEST)
        _settle(model.graph)
        for number, node in enumerate(model.graph.node):
            node.name, node.domain = f"{node.op_type}_{number}", ""
        for entry in model.opset_import:
            entry.domain = "" if entry.domain in _OWN else entry.domain
        graph = cast(nn.Module, _onnx("onnx2torch").convert(model)).eval()
    except Exception as error:  # what a file's numbers lead a converter to is anything
        raise refuse(path, f"cannot be converted: {_first_line(error)}") from None
    if fixed and (wrong := _of_two(graph, described(path))):
        what = f"was exported for {fixed} image{'s' * (fixed > 1)} at a time"
        raise refuse(path, f"{what} ({wrong}): export it with a batch of any size (dynamic axes)")
    with path.open("rb") as file:
        return Converted(graph, hashlib.file_digest(file, "sha256").digest())


def _settle(graph: Any) -> None:
    """Make nodes that state or repeat a constant that constant itself: layers want theirs so."""
    known = {tensor.name for tensor in graph.initializer}
    wanted = {value.name for value in graph.output}
    same: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
        (made, *_), (stated, *_) = node.output or ("",), node.attribute or (None,)
        if made in wanted:
            kept.append(node)
        elif node.op_type == "Identity" and node.input[0] in known:
            same[made] = node.input[0]
        elif node.op_type == "Constant" and stated is not None and stated.HasField("t"):
            stated.t.name = made
            graph.initializer.append(stated.t)
            known.add(made)
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _onnx(module: str) -> Any:
    return library(module, _SOURCE, _INSTALL)


def _checked(path: Path) -> Any:
    """Return a file's model without the weights that lie elsewhere; nothing of it has been run.

    Raises:
        BadInput: when the libraries are not there, or with what is wrong with the file.
    """
    onnx, _ = _onnx("onnx"), _onnx("onnx2torch")
    beginning(path)
    if (size := path.stat().st_size) >= _MOST:
        raise refuse(path, f"{size:,} bytes: an ONNX file has less than {_MOST:,}")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # a damaged file can fail in any way
        raise refuse(path, f"damaged, or no ONNX file: {_first_line(error)}") from None
    if not model.graph.node:
        raise refuse(path, "damaged, or no ONNX file: there is no network in it")
    _refuse_programs(path, model)
    elsewhere = sum(_external_bytes(path, tensor) for tensor in _tensors(model))
    if size + elsewhere >= _MOST:
        raise refuse(path, f"{size + elsewhere:,} bytes with its weights, more than {_MOST:,}")
    _images(path, model)
    return model


def _refuse_programs(path: Path, model: Any) -> None:
    """Refuse what is no plain list of known operators."""
    own = {entry.domain: entry.version for entry in model.opset_import}
    foreign = sorted({node.domain for node in model.graph.node if node.domain not in _OWN})
    if foreign:
        named = ", ".join(map(shown, foreign[:_SHOWN]))
        raise refuse(
            path, f"has operators that ONNX does not define ({named}): cannot be converted"
        )
    if model.functions or any(
        attribute.HasField("g") or attribute.graphs for attribute in _all(model)
    ):
        raise refuse(path, "has graphs inside its nodes (loops, branches): cannot be converted")
    registry = _onnx("onnx2torch.node_converters.registry")
    version = min(next((own[domain] for domain in _OWN if domain in own), 1), _NEWEST)
    unknown = set()
    for kind in {node.op_type for node in model.graph.node}:
        try:
            registry.get_converter(operation_type=kind, version=version, domain="")
        except NotImplementedError:
            unknown.add(kind)
    if unknown:
        named = ", ".join(shown(kind) for kind in sorted(unknown)[:_SHOWN])
        raise refuse(path, f"operators that the converter does not know: {named} (opset {version})")


def _all(model: Any) -> Iterator[Any]:
    """Yield the attributes of all nodes."""
    for node in model.graph.node:
        yield from node.attribute


def _tensors(model: Any) -> Iterator[Any]:
    """Yield every tensor that a file states."""
    yield from model.graph.initializer
    for attribute in _all(model):
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors


def _external_bytes(path: Path, tensor: Any) -> int:
    """Return how many bytes of a tensor lie in another file, which has to be beside this one."""
    if tensor.data_location != _EXTERNAL:
        return 0
    stated = {entry.key: entry.value for entry in tensor.external_data}
    name = stated.get("location", "")
    place, folder = path.parent / name, path.parent.resolve()
    if not name or not place.resolve().is_relative_to(folder):
        raise refuse(path, f"wants weights from {shown(name)!r}, which is not in its own folder")
    if not place.is_file():
        raise refuse(
            path, f"its weights are in {shown(name)!r}, which is not beside it: fetch both"
        )
    size = place.stat().st_size
    try:
        start = int(stated.get("offset", 0))
        length = int(stated.get("length", size - start))
    except ValueError:
        start = length = -1
    if not (start >= 0 <= length and start + length <= size):
        what = f"{shown(name)!r} ends before the weights that should be in it: fetch both again"
        raise refuse(path, what)
    return length


def _images(path: Path, model: Any) -> Any:
    """Return a file's one input, images (B, 3, H, W)."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    sides = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim] if inputs else []
    if len(inputs) != 1 or len(sides) != 4 or sides[1] not in (0, 3):
        taken = "; ".join(
            f"{shown(value.name)} {[d.dim_value or shown(d.dim_param) for d in dims]}"
            for value in inputs[:_SHOWN]
            if (dims := value.type.tensor_type.shape.dim) is not None
        )
        raise refuse(path, f"takes {taken or 'nothing'}; expected images (B, 3, H, W) alone")
    return inputs[0]


def _of_two(graph: nn.Module, size: tuple[int, int] | None) -> str | None:
    """Return why a network does not take two images, or None."""
    try:
        with torch.no_grad():
            found = graph(torch.zeros(2, 3, *(size or (64, 64))))
        first = found[0] if isinstance(found, tuple | list) else found
        return None if len(first) == 2 else f"two images give {len(first)} rows"
    except Exception as error:
        return _first_line(error)


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0][:200]
    return text if text else type(error).__name__
