"""Telling what a checkpoint file really is, before anything loads it."""

from __future__ import annotations

import difflib
import json
import math
import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.problems import BadInput, Problem

Entries = dict[str, Tensor]
"""A state dict; on the meta device where only names, shapes and types were read."""

Format = Literal["safetensors", "pickle"]

_PICKLE_MAGIC = b"\x80"
_ZIP_MAGIC = b"PK\x03\x04"
_LARGEST_HEADER = 100_000_000
_TYPES = {
    "BOOL": torch.bool,
    **{f"U{bits}": getattr(torch, f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"I{bits}": getattr(torch, f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"F{bits}": getattr(torch, f"float{bits}") for bits in (16, 32, 64)},
    **{"BF16": torch.bfloat16, "C64": torch.complex64},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
}


def refuse(path: Path, what: str) -> BadInput:
    """Return the error to raise about a checkpoint file."""
    return BadInput(Problem(where=str(path), what=what))


def shown(name: str) -> str:
    """Return an entry's name for a message: printable, and at most a line long."""
    text = name if name.isprintable() else repr(name)[1:-1]
    return text if len(text) <= 80 else f"{text[:77]}..."


def identify(path: Path) -> Format:
    """Return the format of a checkpoint, by its content and not by its name.

    Raises:
        BadInput: when there is no such file or it is none to be read, such as a device; when it is
            empty, truncated, a web page saved under a checkpoint's name, a Git LFS pointer or
            nothing known; when a safetensors header is damaged.
    """
    if (found := _format(path)) == "safetensors":
        read_header(path)
    return found


def beginning(path: Path) -> bytes:
    """Return a file's first bytes.

    Raises:
        BadInput: when there is no such file or it is none to be read, such as a device; when it is
            empty, a web page or a Git LFS pointer.
    """
    if what := obstacle(path):
        if path.is_dir():
            what = "this is a folder: name the checkpoint file in it"
        raise refuse(path, _absent(path) if what == "no such file" else what)
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
    return head


def _format(path: Path) -> Format:
    head, size = beginning(path), path.stat().st_size
    if head.startswith(_ZIP_MAGIC):
        if not _is_whole_zip(path):
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
        return "safetensors"
    raise refuse(
        path,
        f"neither a safetensors file nor a PyTorch checkpoint: it begins with {head[:8]!r}",
    )


def read_header(path: Path) -> Entries:
    """Return the entries of a safetensors file on the meta device, reading its header only.

    Raises:
        BadInput: when the header is damaged or contradicts itself, or when the file's size is not
            what it promises.
    """
    header, start = _header(path)
    try:
        places = {name: _entry(name, entry) for name, entry in header.items()}
    except (ValueError, TypeError, RuntimeError) as error:
        raise _damaged(path, error) from None
    size = path.stat().st_size
    promised = start + max((end for _, _, end in places.values()), default=0)
    if size != promised:
        state = "truncated" if size < promised else "damaged"
        raise refuse(
            path,
            f"{state} safetensors file: the header promises {promised:,} bytes, the file has "
            f"{size:,}; fetch it again",
        )
    reached = 0
    for name, (_, begin, end) in sorted(places.items(), key=lambda item: item[1][1:]):
        if begin != reached:
            raise _damaged(path, f"'{shown(name)}' begins at byte {begin:,}, expected {reached:,}")
        reached = end
    return {name: value for name, (value, _, _) in places.items()}


def provenance(path: Path) -> dict[str, Any]:
    """Return what a sound checkpoint's metadata says, values in JSON decoded; {} when nothing.

    Raises:
        BadInput: when it is no checkpoint, or its metadata are damaged.
    """
    if _format(path) != "safetensors":
        return {}
    header, _ = _header(path, metadata=True)
    return {name: _decoded(text) for name, text in header.items()}


def _header(path: Path, metadata: bool = False) -> tuple[dict[str, Any], int]:
    """Return a safetensors header's entries, or its metadata, and where the values begin."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > _LARGEST_HEADER:
            raise refuse(path, "not a safetensors file: it has no header of a sensible length")
        if length > size - 8:
            raise refuse(
                path,
                f"truncated safetensors file: its header alone takes {8 + length:,} bytes, the "
                f"file has {size:,}; fetch it again",
            )
        text = file.read(length)
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise ValueError(f"expected a mapping, found {type(header).__name__}")
        about = header.pop("__metadata__", {})
        if not isinstance(about, dict) or not all(isinstance(v, str) for v in about.values()):
            raise ValueError("its metadata is no mapping of text")
    except RecursionError:
        raise _damaged(path, "nested too deeply") from None
    except ValueError as error:
        raise _damaged(path, error) from None
    return (about if metadata else header), 8 + length


def _entry(name: str, entry: Any) -> tuple[Tensor, int, int]:
    """Return an entry without its values, and where these begin and end."""
    if not isinstance(entry, dict):
        raise ValueError(f"'{shown(name)}' is described by {type(entry).__name__}")
    for field in ("dtype", "shape", "data_offsets"):
        if field not in entry:
            raise ValueError(f"'{shown(name)}' has no {field}")
    kind = _TYPES.get(entry["dtype"])
    if kind is None:
        raise ValueError(f"'{shown(name)}' is of the unknown type {str(entry['dtype'])[:20]!r}")
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and 0 <= number < 2**63 for number in (*shape, begin, end)):
        raise ValueError(f"'{shown(name)}' has impossible numbers in its shape or place")
    if math.prod(shape) * kind.itemsize != end - begin:
        raise ValueError(
            f"'{shown(name)}' takes {end - begin:,} bytes, which its shape contradicts"
        )
    return torch.empty(shape, dtype=kind, device="meta"), begin, end


def _damaged(path: Path, reason: object) -> BadInput:
    return refuse(path, f"damaged safetensors header ({reason}); fetch the file again")


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _absent(path: Path) -> str:
    if not path.parent.is_dir():
        return f"no such file; the folder {path.parent} does not exist either"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    near = difflib.get_close_matches(path.name, names, n=2, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"no such file{hint}"


def _is_whole_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # its directory's own directory is damaged
        return False


def _is_web_page(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(b"<!doctype html") or (text.startswith(b"<") and b"<html" in text)
