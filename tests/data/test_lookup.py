"""Names in lists and files on disk: spelled by other systems, tools and copies of a data set."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.lookup import find_files
from tests.toys.datasets import grow


def found(root: Path, *names: str) -> tuple[list[str | None], str]:
    told = Found()
    named = find_files(names, root, "list.csv", told)
    return [named.files.get(name) for name in names], "\n".join(told.notes)


def test_names_that_are_right_stay_as_they_are(tmp_path: Path) -> None:
    grow(tmp_path, "a/1.png", "1.png", "odd name;.png")
    names = ("a/1.png", "./1.png", "1.png", "odd name;.png")
    assert found(tmp_path, *names) == (list(names), "")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (r"a\1.PNG", "a/1.png"),
        ("A/1.Png", "a/1.png"),
        ("a/1.jpg", "a/1.png"),
        ("a/1", "a/1.png"),
        ("a//1.png", "a//1.png"),
        (r"C:\Users\ann\set\a\1.png", "a/1.png"),
        ("file:///C:/Users/ann/set/a/1.png", "a/1.png"),
        ("file:///home/ann/a/1%20b.png", "a/1 b.png"),
        ("/home/ann/set/a/1.png", "a/1.png"),
        ("set/a/1.png", "a/1.png"),
        ("../set/a/1.png", "a/1.png"),
    ],
)
def test_names_as_other_systems_write_them(tmp_path: Path, name: str, file: str) -> None:
    grow(tmp_path / "set", "a/1.png", "a/1 b.png", "b/1.png")
    (files, _) = found(tmp_path / "set", name)
    assert files == [file]


def test_an_absolute_name_below_the_root(tmp_path: Path) -> None:
    grow(tmp_path / "set", "a/1.png", "b/2.png")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    names = (str(tmp_path / "set/a/1.png"), f"file://{tmp_path}/set/b/2.png")
    for root in ("set", "link"):
        assert found(tmp_path / root, *names)[0] == ["a/1.png", "b/2.png"]


def test_composed_and_decomposed_letters_are_one(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é/ä.png") for form in ("NFC", "NFD"))
    grow(tmp_path, composed)
    files, notes = found(tmp_path, decomposed)
    assert files == [composed]
    assert "list.csv: 1 names in another letter case, Unicode form or suffix" in notes


def test_one_start_is_taken_off_all_names_or_none(tmp_path: Path) -> None:
    grow(tmp_path, "cat/1.png", "1.png", "dog/1.png")
    files, notes = found(tmp_path, "/data/set/cat/1.png", "/data/set/owl/1.png")
    assert files == ["cat/1.png", None]
    assert "names start with 'data/set/'" in notes
    # One name is right as it stands: nothing may be taken off the other.
    assert found(tmp_path, "cat/1.png", "owl/1.png")[0] == ["cat/1.png", None]


def test_what_could_be_two_files_is_none(tmp_path: Path) -> None:
    grow(tmp_path, "a.png", "A.PNG", "b.png", "b.jpg", "c.png")
    assert found(tmp_path, "A.png", "B", "b.jpeg", "c.gif")[0] == [None, None, None, "c.png"]


def test_nothing_outside_the_root_is_found(tmp_path: Path) -> None:
    grow(tmp_path, "set/a.png", "outside.png")
    for name in ("../outside.png", "a/../../outside.png", str(tmp_path / "outside.png"), "", "."):
        assert found(tmp_path / "set", name, "a.png")[0] == [None, "a.png"]
