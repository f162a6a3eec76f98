"""Checkpoints of every form, changed in their bytes and in their structure."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from gauntlet.pipeline.models.checkpoint import inspect_checkpoint, load_checkpoint, open_checkpoint
from gauntlet.pipeline.models.file_format import provenance
from tests.fuzz.inputs import edited, edits, fuzzed, mutated, mutations, read

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


def torch_file(zipped: bool = True) -> bytes:
    sink = io.BytesIO()
    content = {"model": OrderedDict(STATE), "epoch": 3, "more": [1.5, {"lr": 0.1}]}
    torch.save(content, sink, _use_new_zipfile_serialization=zipped)
    return sink.getvalue()


FORMS: dict[str, Callable[[], bytes]] = {
    "safetensors": lambda: save(STATE, {"method": "harden", "settings": '{"norm": "linf"}'}),
    "zip": torch_file,
    "bare pickle": lambda: torch_file(zipped=False),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


def read_all(folder: Path, kind: str, content: bytes) -> None:
    path = folder / "net.pt"
    path.write_bytes(content)
    actions: tuple[Callable[[], object], ...] = (
        lambda: inspect_checkpoint(path),
        lambda: open_checkpoint(path, device="cpu"),
        lambda: load_checkpoint(path, nn.Linear(3, 2), "linear"),
        lambda: provenance(path),
    )
    for action in actions:
        read(f"checkpoint, {kind}", folder, action)


@pytest.mark.parametrize("form", FORMS)
@fuzzed
@given(edits)
def test_any_damage(folder: Path, form: str, changes: list[tuple[str, int, int]]) -> None:
    read_all(folder, form, edited(FORMS[form](), changes))


@fuzzed
@given(mutations, st.integers(0, 64), st.integers(-9, 9))
def test_any_header(
    folder: Path, changes: list[tuple[str, int, int, Any]], values: int, wrong: int
) -> None:
    content = FORMS["safetensors"]()
    length = int.from_bytes(content[:8], "little")
    header = mutated(json.loads(content[8 : 8 + length]), changes)
    text = json.dumps(header).encode()
    size = struct.pack("<q", max(0, len(text) + (wrong if wrong > 6 else 0)))
    read_all(folder, "safetensors header", size + text + content[8 + length :][:values])


@pytest.mark.filterwarnings("ignore:Duplicate name")
@fuzzed
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["drop", "rename", "damage", "double", "compress"]),
            st.integers(0, 9),
            st.sampled_from(
                ["net/data.pkl", "net/constants.pkl", "net/../up", "/abs", "x/DATA.PKL"]
            ),
            edits,
        ),
        min_size=1,
        max_size=3,
    )
)  # fmt: skip
def test_any_archive(
    folder: Path, changes: list[tuple[str, int, str, list[tuple[str, int, int]]]]
) -> None:
    with zipfile.ZipFile(io.BytesIO(torch_file())) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    compressed = zipfile.ZIP_STORED
    for what, at, name, damage in changes:
        if not members:
            break
        place = at % len(members)
        match what:
            case "drop":
                del members[place]
            case "rename":
                members[place] = (name, members[place][1])
            case "damage":
                members[place] = (members[place][0], edited(members[place][1], damage))
            case "double":
                members.append(members[place])
            case "compress":
                compressed = zipfile.ZIP_DEFLATED
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compressed) as archive:
        for name, content in members:
            archive.writestr(name, content)
    read_all(folder, "zip members", sink.getvalue())


operations = st.lists(
    st.one_of(
        st.sampled_from([b"(", b")", b"]", b"}", b"N", b"0", b"2", b"t", b"l", b"d", b"a", b"e",
                         b"s", b"u", b"b", b"R", b"o", b"\x81", b"\x85", b"\x86", b"\x93", b"\x94",
                         b"q\x00", b"h\x00", b"K\x01", b"J\xff\xff\xff\x7f", b"Q"]),
        st.sampled_from([b"cos\nsystem\n", b"cbuiltins\neval\n", b"ccollections\nOrderedDict\n",
                         b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n",
                         b"cbuiltins\nbytearray\n", b"\x8c\x02ls", b"X\x04\x00\x00\x00true"]),
        st.binary(max_size=4),
    ),
    max_size=30,
)  # fmt: skip


@fuzzed
@given(operations)
def test_any_pickle(folder: Path, parts: list[bytes]) -> None:
    content = b"\x80\x02" + b"".join(parts) + b"."
    read_all(folder, "pickle operations", content)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("net/data.pkl", content)
        archive.writestr("net/version", b"3\n")
        archive.writestr("net/data/0", bytes(24))
    read_all(folder, "pickle operations", sink.getvalue())
