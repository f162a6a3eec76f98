"""The bundled weights: where they are, and the checksums they are held against."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import safe_open
from torch import nn

from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.checkpoint import load_checkpoint
from gauntlet.pipeline.models.zoo.recipes import Recipe, find_recipe
from gauntlet.pipeline.problems import BadInput, Problem

WEIGHTS = Path(__file__).parent / "weights"

SUMS = "SHA256SUMS"


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


def checksums(folder: Path = WEIGHTS) -> dict[str, str]:
    """Return each file's SHA-256, as the checksum file has them (the format of ``sha256sum``)."""
    path = folder / SUMS
    if not path.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip())
    return {name.strip().removeprefix("*"): digest for digest, name in pairs}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
