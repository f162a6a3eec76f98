"""Long lists of the record are written and read a piece at a time."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from gauntlet.pipeline.results import RunFolder, records
from gauntlet.pipeline.results.record import entries
from gauntlet.pipeline.results.record.entries import (
    digest_of,
    digest_of_list,
    digest_of_pieces,
    pieces_of,
)

LISTS: tuple[list[str], ...] = (
    [],
    ["a"],
    ["a", "b", "é"] * 9,
    ['a", ', "b", '", "', "c\\", "d"] * 5,  # what looks like the end of a text, and is none
)


@pytest.mark.parametrize("values", LISTS, ids=["none", "one", "several", "quotes"])
@pytest.mark.parametrize("indent", [None, 1])
def test_pieces_are_the_list(
    values: list[str], indent: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "PIECE_BYTES", 5)
    text = json.dumps(values, indent=indent).encode()
    assert [value for piece in pieces_of(text) for value in piece] == values
    assert digest_of_pieces(pieces_of(text)) == digest_of_list(values) == digest_of(values)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', '"a", "b"]', '["a", "b"', '["a", 1]', "[["])
def test_what_is_no_list_of_texts_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "PIECE_BYTES", 1)
    with pytest.raises(ValueError, match="validation error"):
        [*pieces_of(text.encode())]


def test_a_list_of_known_ids_is_read_in_less_than_100_bytes_an_example(tmp_path: Path) -> None:
    known = [f"val/ILSVRC2012_val_{number:08d}.JPEG" for number in range(40_000)]
    chosen = known[::2]
    folder = RunFolder(str(tmp_path))
    folder.write("selection.json", records.selection_text(chosen))
    records.selection(folder)  # what is made once is made
    try:
        tracemalloc.start(1)
        found = records.selection(folder, known)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == chosen
    assert all(one is other for one, other in zip(found, chosen, strict=True))
    assert peak / len(chosen) < 100
