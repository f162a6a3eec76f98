"""Networks that a package's constructors make: what a job may tell them, how they read files."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from gauntlet.pipeline.models.matching import on_meta
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem, suggest

_ALWAYS_SAFE, _NEVER_SAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"

_LOADERS = frozenset(
    ("args", "cache", "cfg", "cfgs", "checkpoint", "config", "configs", "dir", "file", "fn", "hub",
     "kwargs", "load", "path", "pretrained", "repo", "source", "state", "url", "weights")
)  # fmt: skip
"""Words in the name of a parameter that says what to read, or holds what a job cannot write."""
_PLACEMENT = frozenset({"device", "dtype"})
"""Parameters that are the run's to choose."""
_REPEATED = frozenset(("block", "blocks", "depth", "depths", "layer", "layers", "stage", "stages"))
"""Words in the name of a parameter that says how often something is built."""
_MOST, _MOST_REPEATED = 100_000, 1_000
"""Largest whole numbers that an option may be: a job must not make a network without end."""


def constructor_options(spec: ModelSpec) -> tuple[bool, dict[str, str | int | float | bool]]:
    """Return whether pretrained weights are wanted, and the constructor's other arguments."""
    others = dict(spec.options)
    return bool(others.pop("pretrained", True)), others


def pretrained_only(spec: ModelSpec, source: str) -> tuple[bool, list[Problem]]:
    """Return whether pretrained weights are wanted, and what is wrong where options say more."""
    pretrained, others = constructor_options(spec)
    what = f"{source} takes only 'pretrained', got {', '.join(others)}"
    return pretrained, [Problem("options", what)] if others else []


def constructor_error(source: str, error: Exception) -> BadInput:
    """Return the error about options that a constructor does not take."""
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return BadInput(Problem("options", f"{source} cannot be made with these options: {reason}"))


def allowed_options(entry: Callable[..., nn.Module], make: Callable[[], nn.Module]) -> set[str]:
    """Return the options that a job may give: what the network's class takes, but nothing to read.

    A package's functions hand on what they do not know themselves, to whatever else is on the way:
    a file to load, a folder to keep downloads in. So the list is of what is known to be none.

    Args:
        entry: the package's function; its annotation says the class.
        make: makes the network without options, for a function without one.

    Raises:
        RuntimeError: when that is needed and the network cannot be made on the meta device.
    """
    kind = inspect.signature(entry, eval_str=True).return_annotation
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)) or kind is nn.Module:
        kind = type(on_meta(make))
    return {
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and not _reads(name)
    }


def option_problems(
    source: str, given: Mapping[str, str | int | float | bool], allowed: set[str]
) -> list[Problem]:
    """Return a problem for each option that is not on the list, or is a number out of bounds."""
    found = []
    for name, value in given.items():
        if name in allowed:
            most = _MOST if _REPEATED.isdisjoint(re.split("_", name.lower())) else _MOST_REPEATED
            if isinstance(value, int | float) and not 0 <= value <= most:
                what = f"{source}: {name} must be from 0 to {most:,}, got {value}"
                found.append(Problem("options", what))
            continue
        what = f"{source}: {suggest(name, sorted(allowed), 'option')}"
        if _reads(name):
            what = f"{source} takes no {name!r}: weights of yours are a source of their own, "
            what += f"'trained:FILE' with 'options: {{source: {source}}}'"
        found.append(Problem("options", what))
    return found


def _reads(name: str) -> bool:
    return name in _PLACEMENT or not _LOADERS.isdisjoint(re.split("_", name.lower()))


@contextmanager
def weights_only() -> Iterator[None]:
    """Have packages read their files with weights_only, which not all ask for themselves."""
    before = {name: os.environ.pop(name, None) for name in (_ALWAYS_SAFE, _NEVER_SAFE)}
    os.environ[_ALWAYS_SAFE] = "1"
    try:
        yield
    finally:
        del os.environ[_ALWAYS_SAFE]
        os.environ.update({name: value for name, value in before.items() if value is not None})
