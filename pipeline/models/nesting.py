"""Finding the state dicts in a checkpoint, however they are wrapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gauntlet.pipeline.models.file_format import Entries, refuse, shown
from gauntlet.pipeline.problems import suggest

_DEEPEST = 16
_MOST = 20_000
"""Containers that are looked into; a checkpoint has some tens."""
_LONGEST = 200
"""Letters of a name on the way."""
_LISTED = 8


def state_dicts(path: Path, content: Any) -> dict[str, Entries]:
    """Return every mapping of names to tensors in a checkpoint, by the way that leads to it.

    The way is written ``ema.model`` or ``nets.0``, and is empty when the whole file is one mapping.
    A mapping that several ways lead to counts once. Optimisers are passed over: the tensors of
    theirs have numbers for names.

    Raises:
        BadInput: when there is none, or when the content is endless.
    """
    found: dict[str, Entries] = {}
    seen: set[int] = set()
    level: list[tuple[str, Any]] = []
    if isinstance(content, Mapping | list | tuple):
        level = [("", content)]
    for _ in range(_DEEPEST):
        inner: list[tuple[str, Any]] = []
        for way, here in level:
            if _is_state_dict(here):
                # Two ways can read the same: `a.b` may be one name, or two.
                found[way if way not in found else f"{way} ({len(found) + 1})"] = dict(here)
                continue
            for name, item in _containers(here):
                if id(item) in seen:
                    continue
                seen.add(id(item))
                inner.append((f"{way}.{name}" if way else name, item))
                if len(seen) > _MOST:
                    what = f"more than {_MOST:,} mappings and lists: no network's checkpoint"
                    raise refuse(path, what)
        level = inner
    if found:
        return found
    if level:
        raise refuse(path, f"nested more than {_DEEPEST} deep: no network's checkpoint")
    raise refuse(path, f"expected a state dict of tensors, found {_description(content)}")


def chosen(path: Path, found: Mapping[str, Entries], key: str | None) -> dict[str, Entries]:
    """Return the state dicts that a person's ``key`` leaves to choose from; all without one.

    A key is a way in the checkpoint, the beginning of one, or the first part of the names in the
    only state dict (``ema`` for ``ema.conv.weight``), which is then taken off.

    Raises:
        BadInput: when it leads to none.
    """
    if key is None:
        return dict(found)
    if key in found:
        return {key: found[key]}
    below = {way: state for way, state in found.items() if way.startswith(f"{key}.")}
    if below:
        return below
    if len(found) == 1:
        (state,) = found.values()
        part = {n.removeprefix(f"{key}."): v for n, v in state.items() if n.startswith(f"{key}.")}
        if part:
            return {key: part}
        firsts = list(dict.fromkeys(shown(name.partition(".")[0]) for name in state))
        what = suggest(key, firsts[:_LISTED], "first part of the names")
    else:
        what = f"{suggest(key, [shown(way) for way in found][:_LISTED], 'key')}; {listing(found)}"
    raise refuse(path, what)


def listing(found: Mapping[str, Entries]) -> str:
    """Return what a person chooses from: ``it holds 'ema' (97 tensors), 'model' (97 tensors)``."""
    ways = [
        f"'{shown(way)}' ({len(state)} tensors)" for way, state in islice(found.items(), _LISTED)
    ]
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"it holds {', '.join(ways)}{more}"


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and _is_plain(item) for name, item in value.items())
    )


def _is_plain(value: Any) -> bool:
    return (
        isinstance(value, Tensor)
        and not value.is_nested
        and value.layout is torch.strided
        and not value.is_quantized
    )


def _containers(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the mappings and lists in a mapping or a list, by name or position."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for name, item in pairs:
        if not isinstance(item, Mapping | list | tuple):
            continue
        if isinstance(value, Mapping) and not (isinstance(name, str) and len(name) <= _LONGEST):
            continue
        yield str(name), item


def _description(content: Any) -> str:
    """Return what is there instead of a state dict."""
    if not isinstance(content, Mapping):
        return type(content).__name__
    for name, value in content.items():
        if not isinstance(name, str) or not _is_plain(value):
            what = "tensor that is not plain" if isinstance(value, Tensor) else type(value).__name__
            return f"'{shown(str(name))}' of type {what}"
    return "an empty mapping"
