"""Checkpoints made to hang, to fill the memory, or to be taken for what they are not."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

from gauntlet.pipeline.models.checkpoint import load_checkpoint, open_checkpoint, read_checkpoint
from gauntlet.pipeline.models.file_format import provenance
from gauntlet.pipeline.problems import BadInput

STATE = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}


def refused(path: Path, **options: Any) -> str:
    """Return why a file is not read, which must be one problem that names it."""
    with pytest.raises(BadInput) as caught:
        open_checkpoint(path, device="cpu", **options)
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    assert "weights_only" not in problem.what
    assert len(problem.what) < 1000
    return problem.what


def not_loaded(path: Path, network: nn.Module | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        load_checkpoint(path, network or nn.Linear(3, 2), "linear")
    (problem,) = caught.value.problems
    assert problem.where == str(path)
    return problem.what


def packed(path: Path, pickle: bytes, *more: tuple[str, bytes]) -> Path:
    """Write a compressed archive as `torch.save` lays one out."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", pickle)
        archive.writestr("net/version", b"3\n")
        archive.writestr("net/byteorder", b"little")
        for name, content in more:
            archive.writestr(name, content)
    return path


def test_a_checkpoint_that_contains_itself(tmp_path: Path) -> None:
    endless: dict[str, Any] = {"epoch": 3}
    endless["model"] = endless
    torch.save(endless, tmp_path / "net.pt")
    assert refused(
        tmp_path / "net.pt"
    ) == "expected a state dict of tensors, found 'epoch' of t" + ("ype int")
    endless["ema"] = STATE
    torch.save(endless, tmp_path / "net.pt")
    assert read_checkpoint(tmp_path / "net.pt").keys() == STATE.keys()


def test_depth_and_number_of_containers_are_bounded(tmp_path: Path) -> None:
    deep: Any = STATE
    for _ in range(20):
        deep = {"inner": deep}
    torch.save(deep, tmp_path / "net.pt")
    assert refused(tmp_path / "net.pt").startswith("nested more than 16 deep")
    torch.save([[] for _ in range(20_001)], tmp_path / "net.pt")
    assert refused(tmp_path / "net.pt").startswith("more than 20,000 mappings and lists")


def test_a_zip_that_unfolds_is_not_read(tmp_path: Path) -> None:
    path, large = tmp_path / "net.pt", {"weight": torch.zeros(1000, 1000)}
    torch.save(large, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for member in plain.infolist():
            small.writestr(member.filename, plain.read(member))
    assert path.stat().st_size < 10_000
    assert "unfolds to 4,00" in refused(path)
    assert "times the file's size" in refused(path)
    assert "`unfold_limit`" in refused(path)
    assert open_checkpoint(path, device="cpu", unfold_limit=2000)[""]["weight"].shape == (
        1000,
        1000,
    )


def test_one_number_is_not_repeated_without_bound(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1).expand(100_000, 100_000)}, tmp_path / "net.pt")
    assert "unfolds to 40,000,000,000 bytes" in refused(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("pickle", "culprit"),
    [
        # Both are on torch's list of harmless names: any amount of memory, any amount of time.
        (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "builtins.bytearray"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x08\x00\x00\x00punycode\x86R.", "_codecs"),
    ],
)
@pytest.mark.parametrize("form", ["zip", "bare"])
def test_calls_that_cost_much_are_refused(
    tmp_path: Path, pickle: bytes, culprit: str, form: str
) -> None:
    path = tmp_path / "net.pt"
    if form == "zip":
        packed(path, pickle)
    else:
        path.write_bytes(pickle)
    assert f"holds more than tensors ({culprit}" in refused(path)


DOUBLED = b"\x80\x02))\x86q\x00" + b"h\x00h\x00\x86q\x00" * 60
COPIES = b"\x80\x02](" + b"K\x00N\x86" * 1000 + b"eq\x00ccollections\nOrderedDict\nq\x01("
LETTERS = b"\x80\x02X\x10\x27\x00\x00%sq\x00ccollections\nCounter\nq\x01(" % bytes(10_000)
HEAVY = {
    "a name of 2 ** 60 parts": DOUBLED + b"}h\x00Ns.",
    "one list copied many times": COPIES + b"h\x01h\x00\x85R" * 1000 + b"l.",
    "letters counted many times": LETTERS + b"h\x01h\x00\x85R" * 1000 + b"l.",
    "tuples to the end of the stack": b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns.",
}


@pytest.mark.parametrize("form", ["zip", "bare", "behind another"])
@pytest.mark.parametrize("pickle", HEAVY.values(), ids=HEAVY)
def test_harmless_parts_are_not_repeated_without_bound(
    tmp_path: Path, pickle: bytes, form: str
) -> None:
    path = tmp_path / "net.pt"
    if form == "zip":
        packed(path, pickle)
    else:
        magic = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." if form == "behind another" else b""
        path.write_bytes(magic + pickle)
    assert refused(path, unfold_limit=10**6).startswith("refused: it ")


def test_a_member_is_found_in_any_letter_case(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "net.pt", b"\x80\x02}.", ("net/DATA.PKL", HEAVY["a name of 2 ** 60 parts"])
    )
    assert refused(path, unfold_limit=10**6).startswith("refused: it repeats its parts")


def test_a_sound_checkpoint_may_repeat_its_parts(tmp_path: Path) -> None:
    state = nn.Sequential(*[nn.Linear(1, 1) for _ in range(200)]).state_dict()
    wrapped = {name: {**state} for name in "abcdefgh"} | {"same": [state] * 4}
    for zipped in (True, False):
        torch.save(wrapped, tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
        assert len(open_checkpoint(tmp_path / "net.pt", unfold_limit=10**6)) == 9


def test_a_torchscript_archive_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.jit.trace(nn.Linear(3, 2), torch.ones(1, 3)).save(str(path))
    what = refused(path)
    assert what.startswith("this is a TorchScript archive (torch.jit.save)")
    assert "safetensors" in what


def test_a_zip_directory_that_is_damaged_twice(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save(STATE, path)
    content = bytearray(path.read_bytes())
    locator = content.rindex(b"PK\x06\x07")  # of the directory in 64 bits
    content[locator + 16] = 7  # disks that the archive spans
    path.write_bytes(content)
    assert refused(path).startswith("truncated PyTorch checkpoint")


def test_no_message_of_torch_recommends_unsafe_loading(tmp_path: Path) -> None:
    for content in (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", b"\x80\x04\x8c\x01a."):
        (tmp_path / "net.pt").write_bytes(content)
        assert "add_safe_globals" not in refused(tmp_path / "net.pt")
        refused(packed(tmp_path / "zip.pt", content))


def header(path: Path, text: str, values: int = 0) -> Path:
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + bytes(values))
    return path


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}}',
        '{"a": {"dtype": "F32", "shape": [9e400], "data_offsets": [0, 0]}}',
        '{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 1e400]}}',
        '{"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": 4, "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}',
        '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}',
        '{"a": {"dtype": "F32", "shape": [1]}}',
        '{"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}',
        '{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
        '{"a": [1, 2, 3]}',
        '{"__metadata__": [1]}',
        '{"__metadata__": {"a": 1}}',
        '{"a": ' + "[" * 100_000,
        "[1, 2]",
    ],
)
def test_absurd_headers_are_one_problem(tmp_path: Path, text: str) -> None:
    path = header(tmp_path / "net.safetensors", text, 4)
    assert "safetensors" in refused(path)
    with pytest.raises(BadInput):
        provenance(path) or open_checkpoint(path)


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    for length in (2**63, 2**64 - 1, 99_000_000):
        path.write_bytes(struct.pack("<Q", length) + b"{}")
        assert "header" in refused(path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (torch.ones(2, 3, dtype=torch.int8), "network float32, checkpoint int8"),
        (torch.ones(2, 3, dtype=torch.bool), "network float32, checkpoint bool"),
        (torch.ones(2, 3, dtype=torch.complex64), "network float32, checkpoint complex64"),
    ],
)
@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_weights_that_are_no_real_numbers(
    tmp_path: Path, wrong: torch.Tensor, said: str, form: str
) -> None:
    path = tmp_path / "net"
    content = {**STATE, "weight": wrong}
    if form == "torch":
        torch.save(content, path)
    else:
        save_file(content, path)
    assert f"1 of another type: weight ({said})" in not_loaded(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_real_numbers_are_loaded(tmp_path: Path, kind: torch.dtype) -> None:
    save_file({name: value.to(kind) for name, value in STATE.items()}, tmp_path / "net")
    load_checkpoint(tmp_path / "net", made := nn.Linear(3, 2), "linear")
    assert torch.equal(made.weight, STATE["weight"])
    assert made.weight.dtype is torch.float32


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.float8_e5m2])
def test_weights_that_are_not_finite(tmp_path: Path, kind: torch.dtype) -> None:
    weight = torch.ones(2, 3)
    weight[0, 1], weight[1, 2] = float("nan"), float("inf")
    save_file({"weight": weight.to(kind), "bias": torch.zeros(2)}, tmp_path / "net")
    what = not_loaded(tmp_path / "net")
    assert what.startswith("weights that are not finite: weight (2 of 6); the training diverged")


def test_tensors_without_values_are_no_weights(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2, device="meta").state_dict(), tmp_path / "net.pt")
    assert "'weight' was saved without its values" in refused(tmp_path / "net.pt")


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "is a named pipe; expected a file"
    assert refused(Path("/dev/zero")) == "is a device; expected a file"
    assert refused(Path("a\0b")) == "no file can have such a name"


def test_names_that_no_terminal_should_see_are_cut_and_escaped(tmp_path: Path) -> None:
    torch.save({"\x1b[31m\ud800" + "x" * 10_000: torch.ones(1)}, tmp_path / "net.pt")
    what = not_loaded(tmp_path / "net.pt")
    assert what.isprintable()
    assert len(what) < 500


def _torch_file(folder: Path) -> bytes:
    torch.save({"model": OrderedDict(STATE), "epoch": 3}, folder / "sound.pt")
    return (folder / "sound.pt").read_bytes()


edits = st.lists(
    st.tuples(st.integers(0, 2000), st.one_of(st.integers(0, 255), st.none())), max_size=8
)


def mutated(sound: bytes, changes: list[tuple[int, int | None]]) -> bytes:
    """Change bytes, or leave them out."""
    content = bytearray(sound)
    for place, value in changes:
        if content and value is None:
            del content[place % len(content)]
        elif content and value is not None:
            content[place % len(content)] = value
    return bytes(content)


def read_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for device in ("meta", "cpu"):
        try:
            for state in open_checkpoint(path, device=device).values():
                assert all(isinstance(name, str) for name in state)
            load_checkpoint(path, nn.Linear(3, 2), "linear")
        except BadInput as error:
            (problem,) = error.problems
            assert problem.where == str(path)
            assert len(problem.what) < 5000


BOUNDED = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@BOUNDED
@given(edits)
def test_any_damage_of_a_torch_file_is_one_problem(
    tmp_path: Path, changes: list[tuple[int, int | None]]
) -> None:
    read_or_refuse(tmp_path / "net.pt", mutated(_torch_file(tmp_path), changes))


@BOUNDED
@given(edits)
def test_any_damage_of_a_safetensors_file_is_one_problem(
    tmp_path: Path, changes: list[tuple[int, int | None]]
) -> None:
    read_or_refuse(tmp_path / "net.pt", mutated(save(STATE), changes))


entries = st.dictionaries(
    st.text(max_size=3),
    st.one_of(
        st.integers(),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "I64", "BOOL", "F8_E5M2", "?", None]),
                "shape": st.lists(st.integers(-2, 3) | st.integers(), max_size=3),
                "data_offsets": st.lists(st.integers(-2, 40) | st.integers(), max_size=3),
            }
        ),
    ),
    max_size=3,
)


@BOUNDED
@given(entries, st.integers(0, 40))
def test_any_header_is_sound_or_one_problem(
    tmp_path: Path, wanted: dict[str, Any], values: int
) -> None:
    text = json.dumps(wanted)
    read_or_refuse(
        tmp_path / "net.safetensors",
        struct.pack("<Q", len(text)) + text.encode() + bytes(values),
    )


@BOUNDED
@given(st.binary(max_size=80))
def test_any_pickle_is_sound_or_one_problem(tmp_path: Path, operations: bytes) -> None:
    read_or_refuse(tmp_path / "bare.pt", b"\x80\x02" + operations)
    packed(path := tmp_path / "zip.pt", b"\x80\x02" + operations, ("net/data/0", bytes(24)))
    read_or_refuse(path, path.read_bytes())
