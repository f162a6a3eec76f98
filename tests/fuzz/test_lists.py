"""Lists of pairs and of labels, whatever they hold: examples, or what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.pipeline.batch import Goal
from tests.fuzz.inputs import edited, edits, fuzzed, read
from tests.toys.datasets import opened, write_image

cells = st.one_of(
    st.sampled_from(
        ["a.png", "b.png", "sub/c.png", "../a.png", "/etc/passwd", "A.PNG", "gone.png"]
    ),
    st.sampled_from(["0", "1", "2", "-1", "1.0", "1e3", "9" * 30, "true", "", " 1 ", "\x00", "٣"]),
    st.sampled_from(['"', "'", '"a.png', "=1+1", "file", "label", "#", "a.png;b.png"]),
    st.text(max_size=6),
)
lines = st.lists(st.lists(cells, min_size=1, max_size=5), max_size=8)
texts = st.tuples(
    st.sampled_from(["file,label", "file,label,wanted", "file_a,file_b,same", "ImageId,TrueLabel",
                     "sep=;", "", "a.png,0"]),
    lines,
    st.sampled_from([",", ";", "\t", " "]),
    st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)  # fmt: skip

SOUND = {
    "labels": b"file,label\na.png,0\nb.png,1\nsub/c.png,2\n",
    "pairs": b"file_a,file_b,same\na.png,b.png,0\na.png,sub/c.png,1\nb.png,sub/c.png,0\n",
}
FIELDS: dict[str, tuple[Goal, dict[str, Any]]] = {
    "labels": (Goal.UNTARGETED, {"source": "folder", "root": "images", "labels": "list.csv"}),
    "pairs": (
        Goal.IMPERSONATION,
        {"source": "pairs", "images": "images", "pairs": "list.csv", "folds": 2},
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lists")
    for name in ("a.png", "b.png", "sub/c.png"):
        write_image(made / "images" / name)
    return made


def read_list(folder: Path, kind: str, content: bytes) -> None:
    (folder / "list.csv").write_bytes(content)
    goal, fields = FIELDS[kind]

    def examples() -> None:
        found = opened(folder, goal, **fields)
        found.load(range(len(found)))

    read(f"list of {kind}", folder, examples)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_sound_list_is_accepted(folder: Path, kind: str) -> None:
    (folder / "list.csv").write_bytes(SOUND[kind])
    goal, fields = FIELDS[kind]
    assert len(opened(folder, goal, **fields)) > 1


@pytest.mark.parametrize("kind", FIELDS)
@fuzzed
@given(texts)
def test_any_text(
    folder: Path, kind: str, text: tuple[str, list[list[str]], str, str, str]
) -> None:
    header, rows, between, end, encoding = text
    joined = end.join([header.replace(",", between), *(between.join(row) for row in rows)])
    read_list(folder, kind, joined.encode(encoding, "replace"))


@pytest.mark.parametrize("kind", FIELDS)
@fuzzed
@given(edits)
def test_any_damage(folder: Path, kind: str, changes: list[tuple[str, int, int]]) -> None:
    read_list(folder, kind, edited(SOUND[kind], changes))
