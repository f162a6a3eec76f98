"""The bundled weights: safetensors of half precision, and the checksums they are held against."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from pipeline.models.architectures import ARCHITECTURES
from pipeline.models.checkpoint import load_checkpoint
from pipeline.problems import BadInput, Problem
from pipeline.zoo.recipes import Recipe, find_recipe
from pipeline.zoo.state import write

WEIGHTS = Path(__file__).parent / "weights"
SUMS = "SHA256SUMS"
_COUNTER = "num_batches_tracked"


def path_of(name: str, folder: Path = WEIGHTS) -> Path:
    """Return where a network's weights are."""
    return folder / f"{name}.safetensors"


def problem_with(name: str, folder: Path = WEIGHTS) -> str | None:
    """Return what is wrong with a network's file, or None; the file is read, not loaded."""
    path = path_of(name, folder)
    expected = checksums(folder).get(path.name)
    again = f"`gauntlet zoo train --only {name}` makes it anew"
    if not path.is_file():
        known = f" (SHA-256 {expected})" if expected else ""
        return f"the weights {path}{known} are missing; {again}"
    if expected is None:
        return f"{folder / SUMS} has no checksum of {path.name}; {again}"
    if (found := _sha256(path)) != expected:
        return f"the weights {path} were altered: SHA-256 {found}, expected {expected}; {again}"
    return None


def load(name: str, folder: Path = WEIGHTS) -> nn.Module:
    """Return a network of the zoo in float32, in eval mode, its file's checksum verified.

    Raises:
        BadInput: when there is no such network, or its file is missing, altered or does not fit.
    """
    recipe = find_recipe(name)
    if wrong := problem_with(name, folder):
        raise BadInput(Problem("zoo", wrong))
    return read(recipe, path_of(name, folder))


def read(recipe: Recipe, path: Path) -> nn.Module:
    """Return a recipe's network in float32 with the weights of a file, in eval mode.

    Raises:
        BadInput: when the file is not a checkpoint of that network.
    """
    network = ARCHITECTURES[recipe.architecture].constructor()
    load_checkpoint(path, network, recipe.architecture)
    return network.eval()


def metadata(name: str, folder: Path = WEIGHTS) -> dict[str, str]:
    """Return what a network's file says of it; empty when there is no file."""
    path = path_of(name, folder)
    if not path.is_file():
        return {}
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def store(network: nn.Module, path: Path, about: dict[str, str]) -> None:
    """Write a network in half precision, whole or not at all.

    Raises:
        BadInput: when it cannot be written, or a value does not fit into half precision.
    """
    state = {
        name: value.half().contiguous(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
        if not name.endswith(_COUNTER)
    }
    if wide := [name for name, value in state.items() if not torch.isfinite(value).all()]:
        raise BadInput(Problem(str(path), f"beyond half precision: {', '.join(wide[:4])}"))
    write(state, path, about)


def checksums(folder: Path = WEIGHTS) -> dict[str, str]:
    """Return each file's SHA-256, as the checksum file has them (the format of ``sha256sum``)."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip())
    return {name.strip().removeprefix("*"): digest for digest, name in pairs}


def record(name: str, folder: Path = WEIGHTS) -> None:
    """Write a file's SHA-256 into the checksum file, and leave the others as they are.

    Raises:
        BadInput: when it cannot be written.
    """
    path = path_of(name, folder)
    try:
        with _locked(folder):
            sums = checksums(folder) | {path.name: _sha256(path)}
            lines = [f"{sums[key]}  {key}\n" for key in sorted(sums)]
            part = folder / f"{SUMS}.part-{os.getpid()}"
            part.write_text("".join(lines))
            part.replace(folder / SUMS)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise BadInput(Problem(str(folder / SUMS), what)) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change the checksum file; several may train into one folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
