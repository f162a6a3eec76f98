"""Safetensors files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from gauntlet.pipeline.problems import BadInput, Problem


def write(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file under another name first, so that it is there whole or not at all.

    Raises:
        BadInput: when it cannot be written.
    """
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in tensors.items()}, part, metadata)
        part.replace(path)
    except Exception as error:  # safetensors wraps the system's errors in one that is not public
        part.unlink(missing_ok=True)
        raise BadInput(Problem(str(path), f"cannot be written: {error}")) from None
