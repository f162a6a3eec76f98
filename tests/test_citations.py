"""Whatever the code and the tests cite of the documents is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPECIFICATION = (ROOT / "docs" / "specification.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
CODE = [
    path
    for folder in ("pipeline", "actors", "jobs", "tests", "bench")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__).resolve()
]
TEXT = {path: path.read_text() for path in CODE}


def sections(page: str) -> set[str]:
    return set(re.findall(r"^##+ (\d(?:\.\d)?)[ .]", page, re.M))


def cited(pattern: str) -> dict[str, Path]:
    return {found: path for path, text in TEXT.items() for found in re.findall(pattern, text)}


def test_every_cited_section_is_there() -> None:
    wanted = cited(r"specification (\d(?:\.\d)?)(?!\d)")
    assert len(wanted) > 10
    missing = {
        number: path for number, path in wanted.items() if number not in sections(SPECIFICATION)
    }
    assert not missing
    wanted = cited(r"architecture (\d)(?![\w.])")
    assert wanted
    assert not {
        number: path for number, path in wanted.items() if number not in sections(ARCHITECTURE)
    }


def test_every_cited_trap_is_there() -> None:
    traps = {int(number) for number in re.findall(r"\*\*trap (\d+)\*\*", SPECIFICATION)}
    assert traps == set(range(1, 22))
    assert {int(number) for number in cited(r"trap (\d+)\b")} <= traps
    assert {int(number) for number in cited(r"def test_trap_(\d\d)_")} == traps


def test_every_oracle_that_a_test_is_named_after_is_there() -> None:
    known = {
        found.lower().replace("-", "_")
        for found in re.findall(r"\*\*(O-[A-Z0-9-]+)\*\*", SPECIFICATION)
    }
    names = [
        name for text in TEXT.values() for name in re.findall(r"def test_(o_[a-z0-9_]+)", text)
    ]
    assert len(names) > 100
    strange = [name for name in names if not any(name.startswith(f"{one}_") for one in known)]
    assert not strange


@pytest.mark.parametrize("name", ["METHODS", "PEERS", "EVALUATION"])
def test_nothing_cites_a_document_that_is_not_here(name: str) -> None:
    pattern = re.compile(rf"\b{name} (section |trap )?\d")
    assert not [path for path, text in TEXT.items() if pattern.search(text)]


def test_every_file_that_a_document_names_is_there() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    pattern = re.compile(r"\b(?:pipeline|actors|jobs|tests|bench|docs)/[\w./-]*\w(?![\w./*-])")
    named = {name: page for page in pages for name in pattern.findall(page.read_text())}
    assert len(named) > 20
    assert not {name: page for name, page in named.items() if not (ROOT / name).exists()}
