"""Writing the zoo's weights and their checksums."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from gauntlet.pipeline.models.zoo.weights import SUMS, WEIGHTS, _sha256, checksums, path_of
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.training.tensor_file import write

_COUNTER = "num_batches_tracked"


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
