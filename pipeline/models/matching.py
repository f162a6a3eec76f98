"""Comparing a checkpoint's entries with a network's, before loading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.models.architectures import ARCHITECTURES
from pipeline.models.file_format import Shapes

_SHOWN = 4
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Mismatch:
    """How a checkpoint differs from a network; false when it does not.

    Attributes:
        missing: entries of the network that the checkpoint lacks.
        unexpected: entries of the checkpoint that the network lacks.
        misshaped: entries of both, with the network's shape and the checkpoint's.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    def __bool__(self) -> bool:
        return self.total > 0

    @property
    def total(self) -> int:
        """Number of entries that differ."""
        return len(self.missing) + len(self.unexpected) + len(self.misshaped)

    def __str__(self) -> str:
        shapes = tuple(
            f"{name} (network {list(wanted)}, checkpoint {list(found)})"
            for name, wanted, found in self.misshaped
        )
        parts = (("missing", self.missing), ("unexpected", self.unexpected), ("misshaped", shapes))
        return "; ".join(f"{len(names)} {what}: {_first(names)}" for what, names in parts if names)


def compare(shapes: Shapes, network: nn.Module) -> Mismatch:
    """Compare a checkpoint with a network, which may be on the meta device.

    Batch norm's ``num_batches_tracked`` counters may be missing or extra: nothing here reads them.
    """
    found = {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}
    wanted = {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not name.endswith(_COUNTER)
    }
    return Mismatch(
        missing=tuple(name for name in wanted if name not in found),
        unexpected=tuple(name for name in found if name not in wanted),
        misshaped=tuple(
            (name, shape, found[name])
            for name, shape in wanted.items()
            if name in found and found[name] != shape
        ),
    )


def on_meta(constructor: Callable[[], nn.Module]) -> nn.Module:
    """Return a network without memory or values, for comparisons."""
    with torch.device("meta"):
        return constructor()


def better_architecture(shapes: Shapes, fewer_than: int | None = None) -> str | None:
    """Return the known architecture that a checkpoint matches best, with what it matches.

    Args:
        shapes: the checkpoint's entries.
        fewer_than: differences of the architecture in question; the checkpoint's size by default.

    Returns:
        A clause such as "it matches architecture 'cifar-resnet-32' exactly", or None when no known
        architecture has fewer differences.
    """
    best, least = None, len(shapes) if fewer_than is None else fewer_than
    for name, architecture in ARCHITECTURES.items():
        total = compare(shapes, on_meta(architecture.constructor)).total
        if total < least:
            best, least = name, total
    if best is None:
        return None
    how = "exactly" if least == 0 else f"better, with {least} differences"
    return f"it matches architecture {best!r} {how}"


def explain(shapes: Shapes, mismatch: Mismatch, architecture: str) -> str:
    """Return the message about a checkpoint that does not fit an architecture."""
    better = better_architecture(shapes, mismatch.total)
    hint = f"; {better}" if better else ""
    return f"the checkpoint does not fit {architecture}: {mismatch}{hint}"


def _first(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
