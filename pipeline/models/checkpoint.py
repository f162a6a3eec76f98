"""Reading checkpoints without trusting them (trap 20), and fingerprinting what was read."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.models.file_format import Shapes, identify, read_header, refuse
from pipeline.models.matching import compare, explain

_WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
_PREFIX = "module."
_DIGITS = 16


def inspect_checkpoint(path: Path) -> Shapes:
    """Return the name and shape of every entry, as `read_checkpoint` would give them.

    Of a safetensors file only the header is read; of a PyTorch file no tensor's values.

    Raises:
        BadInput: as `read_checkpoint`.
    """
    if identify(path) == "safetensors":
        shapes = read_header(path)
        return {_bare(name, shapes): shape for name, shape in shapes.items()}
    return {name: tuple(value.shape) for name, value in _unpickle(path, "meta").items()}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return a checkpoint's state dict, on the CPU.

    A ``module.`` before every name is removed, and a state dict inside ``{"state_dict": ...}`` or
    ``{"model": ...}`` is taken out.

    Args:
        path: a safetensors file, or a PyTorch file; told apart by content.

    Raises:
        BadInput: when the file is absent, not a checkpoint, damaged, or needs code to be run.
    """
    if identify(path) == "safetensors":
        read_header(path)
        try:
            state = load_file(path)
        except (SafetensorError, OSError) as error:
            raise refuse(path, f"damaged safetensors file: {error}; fetch it again") from None
        return {_bare(name, state): value for name, value in state.items()}
    return _unpickle(path, "cpu")


def load_checkpoint(
    path: Path, network: nn.Module, architecture: str, *, ignore: tuple[str, ...] = ()
) -> None:
    """Load a checkpoint into a network, strictly: every name and every shape must agree.

    Args:
        path: the checkpoint.
        network: changed in place; keeps its own floating point type and device.
        architecture: the network's name, for the error message.
        ignore: prefixes of entries of the checkpoint that are left out on purpose.

    Raises:
        BadInput: as `read_checkpoint`, and when names or shapes differ.
    """
    state = {
        name: value for name, value in read_checkpoint(path).items() if not name.startswith(ignore)
    }
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    if mismatch := compare(shapes, network):
        raise refuse(path, explain(shapes, mismatch, architecture))
    # compare() has been strict; only num_batches_tracked can be missing or extra here.
    network.load_state_dict(state, strict=False)


def weights_fingerprint(network: nn.Module) -> str:
    """Return 16 hex digits that stand for a network's weights and buffers.

    Entries are hashed in the order of their names, without ``num_batches_tracked``; floating point
    ones as float32, so that the precision a model runs in does not change its fingerprint.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if not isinstance(value, Tensor) or name.endswith("num_batches_tracked"):
            continue
        if value.is_floating_point():
            value = value.float()
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:_DIGITS]


def fingerprint(weights: str, *around: object) -> str:
    """Return 16 hex digits that stand for a model: its weights and everything around them.

    Args:
        weights: what `weights_fingerprint` gave.
        around: preprocessing, defence and the like, each with a repr that says all about it.
    """
    text = "\n".join([weights, *(repr(part) for part in around)])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _unpickle(path: Path, device: str) -> dict[str, Tensor]:
    try:
        # An open file, not a path: torch goes by a path's name, here the content decides.
        with path.open("rb") as file:
            content = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        culprit = f" ({found.group(1)})" if found else ""
        raise refuse(
            path,
            f"refused: this pickle holds more than tensors{culprit}, and loading such a file can "
            "run any code on your machine; ask for the bare state dict, "
            "torch.save(network.state_dict(), ...), or for a safetensors file",
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        reason = str(error).strip().split("\n")[0]
        raise refuse(path, f"damaged or unsupported PyTorch checkpoint: {reason}") from None
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if key in content), None)
        if not isinstance(inner, Mapping):
            break
        content = inner
    if not isinstance(content, Mapping):
        raise refuse(path, f"expected a state dict, found {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise refuse(
                path,
                f"expected a state dict of tensors, found {name!r} of type {type(value).__name__}",
            )
    return {_bare(name, content): value for name, value in content.items()}


def _bare(name: str, names: Mapping[str, object]) -> str:
    """Return the name without the prefix of DataParallel, if every name has it."""
    return name.removeprefix(_PREFIX) if all(n.startswith(_PREFIX) for n in names) else name
