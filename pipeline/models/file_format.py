"""Telling what a checkpoint file really is, before anything loads it."""

from __future__ import annotations

import difflib
import json
import math
import zipfile
from pathlib import Path
from typing import Any, Literal

from pipeline.problems import BadInput, Problem

Shapes = dict[str, tuple[int, ...]]
"""Name of each entry of a state dict to its shape."""

Format = Literal["safetensors", "pickle"]

_PICKLE_MAGIC = b"\x80"
_ZIP_MAGIC = b"PK\x03\x04"
_LARGEST_HEADER = 100_000_000


def refuse(path: Path, what: str) -> BadInput:
    """Return the error to raise about a checkpoint file."""
    return BadInput(Problem(where=str(path), what=what))


def identify(path: Path) -> Format:
    """Return the format of a checkpoint, by its content and not by its name.

    Raises:
        BadInput: when there is no such file, or when it is empty, truncated, a web page saved under
            a checkpoint's name, a Git LFS pointer or nothing known.
    """
    if not path.is_file():
        raise refuse(path, _absent(path))
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
    if size == 0:
        raise refuse(path, "the file is empty: fetch it again")
    if _is_web_page(head):
        raise refuse(
            path,
            f"this is a web page ({size:,} bytes of HTML), not a checkpoint: a download link gave "
            "a confirmation or error page instead of the file, as Google Drive does for large "
            "files; open the link in a browser and save the file itself",
        )
    if head.startswith(b"version https://git-lfs"):
        raise refuse(path, "this is a Git LFS pointer, not the checkpoint: run 'git lfs pull'")
    if head.startswith(_ZIP_MAGIC):
        if not zipfile.is_zipfile(path):
            raise refuse(
                path,
                f"truncated PyTorch checkpoint: the directory that ends such a file is missing "
                f"({size:,} bytes on disk); fetch it again",
            )
        return "pickle"
    # A header's length may begin with the byte that a pickle begins with.
    braced = head[8:9] == b"{"
    fits = int.from_bytes(head[:8], "little") <= size - 8
    if head.startswith(_PICKLE_MAGIC) and not (braced and (fits or path.suffix == ".safetensors")):
        return "pickle"
    if braced or path.suffix == ".safetensors":
        read_header(path)
        return "safetensors"
    raise refuse(
        path,
        f"neither a safetensors file nor a PyTorch checkpoint: it begins with {head[:8]!r}",
    )


def read_header(path: Path) -> Shapes:
    """Return the shapes in a safetensors file, reading its header only.

    Raises:
        BadInput: when the header is damaged, or the file's size is not what the header promises.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > _LARGEST_HEADER:
            raise refuse(path, "not a safetensors file: it has no header of a sensible length")
        text = file.read(length)
    if len(text) < length:
        raise refuse(
            path,
            f"truncated safetensors file: its header alone takes {8 + length:,} bytes, the file "
            f"has {size:,}; fetch it again",
        )
    try:
        header = json.loads(text)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in entries.items()}
        if untyped := [name for name, entry in entries.items() if "dtype" not in entry]:
            raise ValueError(f"{untyped[0]!r} has no dtype")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise refuse(path, f"damaged safetensors header ({error}); fetch the file again") from None
    promised = 8 + length + end
    if size != promised:
        state = "truncated" if size < promised else "damaged"
        raise refuse(
            path,
            f"{state} safetensors file: the header promises {promised:,} bytes, the file has "
            f"{size:,}; fetch it again",
        )
    return shapes


def provenance(path: Path) -> dict[str, Any]:
    """Return what a sound checkpoint's metadata says, values in JSON decoded; {} when nothing."""
    if identify(path) != "safetensors":
        return {}
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: _decoded(text) for name, text in header.get("__metadata__", {}).items()}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def count(shapes: Shapes) -> int:
    """Return how many numbers the entries hold."""
    return sum(math.prod(shape) for shape in shapes.values())


def _absent(path: Path) -> str:
    if path.is_dir():
        return "this is a folder: name the checkpoint file in it"
    if not path.parent.is_dir():
        return f"no such file; the folder {path.parent} does not exist either"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    near = difflib.get_close_matches(path.name, names, n=2, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no such file{hint}"


def _is_web_page(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(b"<!doctype html") or (text.startswith(b"<") and b"<html" in text)
