"""Reading checkpoints without trusting them (trap 20), and fingerprinting what was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gauntlet.pipeline.models.file_format import Entries, identify, read_header, refuse, shown
from gauntlet.pipeline.models.matching import fitting, without_prefix
from gauntlet.pipeline.models.nesting import chosen, listing, state_dicts
from gauntlet.pipeline.models.torch_file import UNFOLD_LIMIT, read_torch

Shapes = dict[str, tuple[int, ...]]
"""Name of each entry of a state dict to its shape."""

_PREFIX = "module."
_DIGITS = 16
_SHOWN = 4


def inspect_checkpoint(path: Path) -> Shapes:
    """Return the name and shape of every entry, as `read_checkpoint` would give them.

    Of a safetensors file only the header is read; of a PyTorch file no tensor's values.

    Raises:
        BadInput: as `read_checkpoint`.
    """
    return {name: tuple(value.shape) for name, value in _only(path, open_checkpoint(path)).items()}


def read_checkpoint(path: Path) -> Entries:
    """Return a checkpoint's only state dict, on the CPU.

    A ``module.`` before every name is removed, and a state dict inside ``{"state_dict": ...}`` or
    any other nesting is taken out.

    Args:
        path: a safetensors file, or a PyTorch file; told apart by content.

    Raises:
        BadInput: when the file is absent, not a checkpoint, damaged, or needs code to be run; when
            it holds several state dicts.
    """
    return _only(path, open_checkpoint(path, device="cpu"))


def open_checkpoint(
    path: Path, key: str | None = None, *, device: str = "meta", unfold_limit: int = UNFOLD_LIMIT
) -> dict[str, Entries]:
    """Return the state dicts of a checkpoint by the ways that lead to them.

    Args:
        path: a safetensors file, or a PyTorch file; told apart by content.
        key: which of them is wanted; see `gauntlet.pipeline.models.nesting.chosen`.
        device: ``cpu``, or ``meta`` to read names, shapes and types only.
        unfold_limit: how many times the file's own size its content may take in memory.

    Raises:
        BadInput: when the file is absent, not a checkpoint, damaged, or needs code to be run; when
            no state dict is in it, or none under the key.
    """
    if identify(path) == "pickle":
        found = state_dicts(path, read_torch(path, device, unfold_limit))
    else:
        found = {"": read_header(path) if device == "meta" else _values(path)}
    for state in found.values():
        if device != "meta" and (empty := [name for name, v in state.items() if v.is_meta]):
            raise refuse(path, f"'{shown(empty[0])}' was saved without its values")
    return chosen(path, found, key)


def load_checkpoint(
    path: Path,
    network: nn.Module,
    architecture: str,
    *,
    key: str | None = None,
    unused: tuple[str, ...] = (),
    unfold_limit: int = UNFOLD_LIMIT,
) -> None:
    """Load a checkpoint into a network, strictly: all names, shapes and kinds of number must agree.

    Of several state dicts in the file the one that fits is taken. Prefixes that all names have in
    common are taken off where the network has none, and a training loop's head with them.

    Args:
        path: the checkpoint.
        network: changed in place; keeps its own floating point type and device.
        architecture: the network's name, for the error message.
        key: which state dict, when several fit.
        unused: beginnings of entries, in the network's names, that it does without on purpose.
        unfold_limit: how many times the file's own size its content may take in memory.

    Raises:
        BadInput: as `open_checkpoint`, when none or several of the state dicts fit, and when a
            value is not finite.
    """
    found = open_checkpoint(path, key, device="cpu", unfold_limit=unfold_limit)
    state = _fitting(path, found, network, architecture, unused)
    _refuse_not_finite(path, state)
    # The comparison has been strict; only num_batches_tracked can be missing or extra here.
    network.load_state_dict(state, strict=False)


def check_checkpoint(
    path: Path,
    network: nn.Module,
    architecture: str,
    *,
    key: str | None = None,
    unused: tuple[str, ...] = (),
    unfold_limit: int = UNFOLD_LIMIT,
) -> None:
    """Raise what `load_checkpoint` would, of a network that may be on the meta device.

    Names and shapes first: the values of what does not fit are not read.
    """
    bare = open_checkpoint(path, key, unfold_limit=unfold_limit)
    _fitting(path, bare, network, architecture, unused)
    found = open_checkpoint(path, key, device="cpu", unfold_limit=unfold_limit)
    _refuse_not_finite(path, _fitting(path, found, network, architecture, unused))


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


def _values(path: Path) -> Entries:
    read_header(path)
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise refuse(path, f"damaged safetensors file: {error}; fetch it again") from None


def _only(path: Path, found: Mapping[str, Entries]) -> Entries:
    """Return the only state dict, without the prefix of DataParallel."""
    if len(found) > 1:
        raise refuse(path, f"{listing(found)}: choose one by `key`")
    (state,) = found.values()
    bare = without_prefix(state) if all(name.startswith(_PREFIX) for name in state) else None
    return state if bare is None else bare


def _fitting(
    path: Path,
    found: Mapping[str, Entries],
    network: nn.Module,
    architecture: str,
    unused: tuple[str, ...],
) -> Entries:
    """Return the one state dict that fits, without unused entries and needless prefixes."""
    try:
        return fitting(found, network, architecture, unused).state
    except ValueError as error:
        raise refuse(path, str(error)) from None


def _refuse_not_finite(path: Path, state: Entries) -> None:
    wrong = {name: count for name, value in state.items() if (count := _not_finite(value))}
    if wrong:
        first = [
            f"{shown(name)} ({count} of {state[name].numel()})"
            for name, count in list(wrong.items())[:_SHOWN]
        ]
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise refuse(
            path,
            f"weights that are not finite: {', '.join(first)}{more}; the training diverged, or the "
            "file is damaged",
        )


def _not_finite(value: Tensor) -> int:
    if not value.is_floating_point():
        return 0
    # Eight-bit floating point has no arithmetic of its own.
    numbers = value.float() if value.itemsize == 1 else value
    return value.numel() - int(torch.isfinite(numbers).sum())
