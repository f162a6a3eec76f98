"""Comparing a checkpoint's entries with a network's, before loading."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures import ARCHITECTURES, Architecture
from gauntlet.pipeline.models.file_format import Entries, shown
from gauntlet.pipeline.models.nesting import listing

_SHOWN = 4
_COUNTER = "num_batches_tracked"
_PREFIXES = 8
"""Prefixes that are taken off one after the other."""
_NEAR = 10
"""An architecture nearly fits when less than one entry in this many differs."""
_HEADS = frozenset({"head", "fc"})
"""Where training loops keep the classes of the training set, beside the network itself."""


@dataclass(frozen=True)
class Mismatch:
    """How a checkpoint differs from a network; false when it does not.

    Attributes:
        missing: entries of the network that the checkpoint lacks.
        unexpected: entries of the checkpoint that the network lacks.
        misshaped: entries of both with another shape, and both shapes.
        mistyped: entries that are real numbers in the network and integers, truth values or
            complex in the checkpoint, or the reverse, and both types.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: tuple[str, ...]
    mistyped: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.total > 0

    @property
    def total(self) -> int:
        """Number of entries that differ."""
        return sum(map(len, (self.missing, self.unexpected, self.misshaped, self.mistyped)))

    def __str__(self) -> str:
        parts = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "misshaped": self.misshaped,
            "of another type": self.mistyped,
        }
        return "; ".join(
            f"{len(names)} {what}: {_first(names)}" for what, names in parts.items() if names
        )


@dataclass(frozen=True)
class Fit:
    """A state dict of a checkpoint, as near to a network as it can be brought.

    Attributes:
        state: its entries, without the prefix that all of their names have in common where that
            makes them fit better.
        mismatch: what still differs.
    """

    state: Entries
    mismatch: Mismatch


def compare(state: Entries, network: nn.Module) -> Mismatch:
    """Compare a checkpoint with a network; both may be on the meta device.

    Batch norm's ``num_batches_tracked`` counters may be missing or extra: nothing here reads them.
    """
    return _compare(state, network.state_dict())


def fit(
    state: Entries, network: nn.Module | Mapping[str, Tensor], unused: tuple[str, ...] = ()
) -> Fit:
    """Compare a checkpoint with a network, taking off prefixes that all of its names have.

    ``module.`` of DataParallel, ``_orig_mod.`` of a compiled network, ``backbone.`` of the person's
    own module: they go, one by one, as long as that is needed and brings the two nearer. With
    ``backbone.`` goes what a training loop keeps beside it, ``head.`` or ``fc.``, if all of the
    rest then fits.

    Args:
        state: the checkpoint's entries.
        network: what they are compared with, or its entries.
        unused: beginnings of entries, in the network's own names, that it does without.
    """
    wanted = network.state_dict() if isinstance(network, nn.Module) else network
    best = _read(state, wanted, unused)
    headless = False
    for _ in range(_PREFIXES):
        if not best.mismatch:
            break
        shorter = without_prefix(state)
        if shorter is None:
            shorter = without_prefix(_without_heads(state))
            headless = True
        if shorter is None:
            break
        state = shorter
        made = _read(state, wanted, unused)
        if made.mismatch.total < best.mismatch.total and not (headless and made.mismatch):
            best = made
    return best


def _read(state: Entries, wanted: Mapping[str, Tensor], unused: tuple[str, ...]) -> Fit:
    if unused:
        state = {name: value for name, value in state.items() if not name.startswith(unused)}
    return Fit(state, _compare(state, wanted))


def _without_heads(state: Entries) -> Entries:
    return {name: v for name, v in state.items() if name.partition(".")[0] not in _HEADS}


def fitting(
    found: Mapping[str, Entries],
    network: nn.Module,
    architecture: str,
    unused: tuple[str, ...] = (),
) -> Fit:
    """Return the one state dict of a checkpoint that a network takes.

    Args:
        found: the checkpoint's state dicts by the ways that lead to them.
        network: what they are compared with.
        architecture: the network's name, for the error message.
        unused: as of `fit`.

    Raises:
        ValueError: when none fits, with what differs, or when several do.
    """
    fits = {way: fit(state, network, unused) for way, state in found.items()}
    sound = [way for way, made in fits.items() if not made.mismatch]
    if len(sound) == 1:
        return fits[sound[0]]
    if sound:
        choices = listing({way: found[way] for way in sound})
        raise ValueError(f"{choices}, which all fit {architecture}: choose one by `key`")
    way = min(fits, key=lambda way: fits[way].mismatch.total)
    others = f"; {listing(found)}, of which '{shown(way)}' is the nearest" if len(fits) > 1 else ""
    raise ValueError(explain(fits[way], architecture) + others)


def on_meta(constructor: Callable[[], nn.Module]) -> nn.Module:
    """Return a network without memory or values, for comparisons."""
    with torch.device("meta"):
        return constructor()


@cache
def entries_of(name: str) -> Mapping[str, Tensor]:
    """Return an architecture's entries, without values; those of one constructor are made once."""
    constructor = ARCHITECTURES[name].constructor
    if isinstance(constructor, partial):
        options = tuple(sorted(constructor.keywords.items()))
        return _entries(constructor.func, constructor.args, options)
    return _entries(constructor, (), ())


def layouts() -> int:
    """Return how many different sets of names and shapes the known architectures have."""
    return len({frozenset(_shapes(name)) for name in ARCHITECTURES})


def _shapes(name: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(entry, tuple(value.shape)) for entry, value in entries_of(name).items()]


@dataclass(frozen=True)
class Nearest:
    """The known architecture that differs least from a checkpoint.

    Attributes:
        name: the architecture's.
        mismatch: what differs.
        entries: number of the checkpoint's.
    """

    name: str
    mismatch: Mismatch
    entries: int

    @property
    def close(self) -> bool:
        """Whether less than a tenth of the entries differ."""
        return self.mismatch.total < self.entries / _NEAR

    def __str__(self) -> str:
        total = self.mismatch.total
        if not self.close:
            return f"architecture {self.name!r} is the nearest ({total} entries differ)"
        how = "nearly matches" if total else "matches"
        rest = f"({total} of {self.entries} entries differ)" if total else "exactly"
        return f"it {how} architecture {self.name!r} {rest}"


def nearest_architecture(state: Entries) -> Nearest:
    """Return the known architecture that differs least from a checkpoint, the first of several."""
    return min(
        (
            Nearest(name, fit(state, entries_of(name), known.unused).mismatch, len(state))
            for name, known in _comparable(state).items()
        ),
        key=lambda found: found.mismatch.total,
    )


def _comparable(*states: Entries) -> dict[str, Architecture]:
    """Return the architectures whose mark is there: to make all takes seconds."""
    return {
        name: known
        for name, known in ARCHITECTURES.items()
        if any(entry.endswith(known.mark) for state in states for entry in state)
    }


def better_architecture(state: Entries, fewer_than: int | None = None) -> str | None:
    """Return the known architecture that a checkpoint fits, or nearly fits.

    Args:
        state: the checkpoint's entries.
        fewer_than: differences of the architecture in question; the checkpoint's size by default.

    Returns:
        A clause such as "it fits architecture 'cifar-resnet-32' exactly", or None when every known
        architecture differs in a tenth of the entries, or in as many as the one in question.
    """
    found = nearest_architecture(state)
    worse = fewer_than is not None and found.mismatch.total >= fewer_than
    return None if worse or not found.close else str(found)


def architectures_of(found: Mapping[str, Entries], options: Mapping[str, Any]) -> list[str]:
    """Return the known architectures that one of a checkpoint's state dicts fits exactly.

    Args:
        found: the state dicts by the ways that lead to them.
        options: of the constructors; architectures that do not take them are passed over.
    """
    fits = []
    for name, known in _comparable(*found.values()).items():
        try:
            inspect.signature(known.constructor).bind(**options)
            wanted = _made(known.constructor, **options) if options else entries_of(name)
        except (TypeError, ValueError, RuntimeError):
            continue
        if any(not fit(state, wanted, known.unused).mismatch for state in found.values()):
            fits.append(name)
    return fits


def explain(made: Fit, architecture: str) -> str:
    """Return the message about a checkpoint that does not fit an architecture."""
    better = better_architecture(made.state, made.mismatch.total)
    hint = f"; {better}" if better else ""
    return f"the checkpoint does not fit {architecture}: {made.mismatch}{hint}"


def without_prefix(state: Entries) -> Entries | None:
    """Return a state dict without the first part of its names, if that is the same in all."""
    firsts = {name.partition(".")[0] for name in state}
    if len(firsts) != 1 or not all("." in name for name in state):
        return None
    return {name.partition(".")[2]: value for name, value in state.items()}


@cache
def _entries(
    constructor: Callable[..., nn.Module], given: tuple[Any, ...], options: tuple[Any, ...]
) -> Mapping[str, Tensor]:
    return _made(constructor, *given, **dict(options))


def _made(constructor: Callable[..., nn.Module], *given: Any, **options: Any) -> Entries:
    return on_meta(lambda: constructor(*given, **options)).state_dict()


def _compare(state: Entries, network: Mapping[str, Tensor]) -> Mismatch:
    found = {name: value for name, value in state.items() if not name.endswith(_COUNTER)}
    wanted = {name: value for name, value in network.items() if not name.endswith(_COUNTER)}
    both = {name: (value, found[name]) for name, value in wanted.items() if name in found}
    return Mismatch(
        missing=tuple(name for name in wanted if name not in found),
        unexpected=tuple(name for name in found if name not in wanted),
        misshaped=tuple(
            f"{name} (network {list(ours.shape)}, checkpoint {_short(list(theirs.shape))})"
            for name, (ours, theirs) in both.items()
            if ours.shape != theirs.shape
        ),
        mistyped=tuple(
            f"{name} (network {_kind(ours)}, checkpoint {_kind(theirs)})"
            for name, (ours, theirs) in both.items()
            if ours.shape == theirs.shape and _family(ours) != _family(theirs)
        ),
    )


def _family(value: Tensor) -> str:
    if value.is_floating_point():
        return "real"
    return "complex" if value.is_complex() else "integer" if value.dtype != torch.bool else "bool"


def _kind(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _short(shape: list[int]) -> str:
    return str(shape) if len(shape) <= 8 else f"[{', '.join(map(str, shape[:8]))}, ...]"


def _first(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(shown, names[:_SHOWN])) + more
