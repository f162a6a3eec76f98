"""Reading files of ``torch.save`` without trusting them: nothing is run, nothing unfolds."""

from __future__ import annotations

import io
import mmap
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gauntlet.pipeline.models.file_format import refuse
from gauntlet.pipeline.models.pickle_weight import TooHeavy, weigh

UNFOLD_LIMIT = 4
"""How many times its own size a file may take in memory; `torch.save` compresses nothing."""
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLES = 5
"""Pickles one after the other in a file of older versions of torch, before the values."""
# Allowed by weights_only, and able to ask for any amount of memory or time in a few bytes.
_COSTLY = {b"bytearray": "builtins.bytearray", b"_codecs": "_codecs.encode"}


def read_torch(path: Path, device: str, unfold_limit: int = UNFOLD_LIMIT) -> Any:
    """Return what is in a PyTorch file: tensors in mappings and lists, no other objects.

    Args:
        path: a file that `identify` calls a pickle.
        device: where tensors go; on ``meta`` they have no values.
        unfold_limit: how many times the file's own size its content may take.

    Raises:
        BadInput: when the file is damaged, is a TorchScript archive, needs code to be run, or
            takes more room than it may.
    """
    most = unfold_limit * path.stat().st_size
    try:
        _check_pickle(path, most)
        # An open file, not a path: torch goes by a path's name, here the content decides.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch asks people to report unusual protocols
            content = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise refuse(path, _unsafe(found.group(1) if found else None)) from None
    except _Refused as error:
        raise refuse(path, str(error)) from None
    except TooHeavy as error:
        what = f"refused: {error}, which would take endless time or memory to read"
        raise refuse(path, what) from None
    except Exception as error:  # a damaged file can fail in any way
        raise refuse(path, f"damaged or unsupported PyTorch checkpoint{_reason(error)}") from None
    tensors = {id(value): value for value in _tensors(content)}.values()
    if (size := sum(value.numel() * value.element_size() for value in tensors)) > most:
        raise refuse(path, _too_large(size, path.stat().st_size))
    return content


class _Refused(Exception):
    """The message says why a file is not read."""


def _check_pickle(path: Path, most: int) -> None:
    """Refuse archives that are no checkpoints or unfold, and pickles that would cost too much."""
    with path.open("rb") as file:
        if file.read(4) != _ZIP_MAGIC:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
                _refuse_costly(text)
            file.seek(0)
            for _ in range(_PICKLES):
                if not weigh(file):
                    break
            return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        # torch finds its members whatever their letter case.
        names = {member.filename.lower().partition("/")[2] for member in members}
        if "constants.pkl" in names:
            raise _Refused(
                "this is a TorchScript archive (torch.jit.save), which holds a program beside the "
                "weights: ask for the weights alone, as a safetensors file or as "
                "torch.save(network.state_dict(), ...) of the network in Python"
            )
        if "data.pkl" not in names:
            raise _Refused(
                "damaged or unsupported PyTorch checkpoint: a zip archive without data.pkl, which "
                "torch.save did not write"
            )
        if (size := sum(member.file_size for member in members)) > most:
            raise _Refused(_too_large(size, path.stat().st_size))
        for member in members:
            if member.filename.lower().endswith("data.pkl"):
                pickled = archive.read(member)
                _refuse_costly(pickled)
                weigh(io.BytesIO(pickled))


def _refuse_costly(text: bytes | mmap.mmap) -> None:
    for mark, name in _COSTLY.items():
        if text.find(mark) >= 0:
            raise _Refused(_unsafe(name))


def _tensors(content: Any) -> Iterator[Tensor]:
    """Yield every tensor in a content that may hold itself; each container is entered once."""
    left, seen = [content], set[int]()
    while left:
        here = left.pop()
        if isinstance(here, Tensor):
            yield here
        elif id(here) not in seen:
            seen.add(id(here))
            if isinstance(here, dict):
                left += here.values()
            elif isinstance(here, list | tuple | set):
                left += here


def _unsafe(name: str | None) -> str:
    what = (
        f"refused: this pickle holds more than tensors ({name})"
        if name
        else ("refused: this pickle is damaged or holds more than tensors")
    )
    return (
        f"{what}, and loading such a file can "
        "run any code on your machine; ask for the bare state dict, "
        "torch.save(network.state_dict(), ...), or for a safetensors file"
    )


def _too_large(size: int, file_size: int) -> str:
    return (
        f"unfolds to {size:,} bytes, {size / file_size:,.0f} times the file's size, as no network "
        "does: if you trust it, give the model an `unfold_limit` above that number"
    )


def _reason(error: Exception) -> str:
    """Return torch's own words, unless they recommend what this reader exists to prevent."""
    first = str(error).strip().partition("\n")[0][:200]
    return f": {first}" if first and "weights_only" not in str(error) else ""
