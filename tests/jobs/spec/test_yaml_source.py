from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.jobs.spec.document import Document, dotted
from gauntlet.jobs.spec.yaml_source import LARGEST_JOB, parse, read
from gauntlet.pipeline.problems import BadInput


def problem(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        parse(text, "job.yaml")
    (only,) = caught.value.problems
    return str(only)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("8/255", "8/255"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-7", -7),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2024-01-31", "2024-01-31"),
        ("no", "no"),
        ("true", True),
        ("null", None),
        ("", None),
        ("'5'", "5"),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: object) -> None:
    found = parse(f"key: {text}", "job.yaml").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_lines_of_keys_and_items() -> None:
    document = parse("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", "job.yaml")
    assert document.line(("b", 1, "d")) == 5
    assert document.line(("b", 0)) == 3
    assert document.describe(("b", 1, "e")) == "job.yaml:4: b[1].e"


def test_anchors_and_merges() -> None:
    text = "a: &a {x: 1, y: [2]}\nb:\n  <<: *a\n  x: 3\nc: *a\n"
    document = parse(text, "job.yaml")
    assert document.data["b"] == {"x": 3, "y": [2]}
    assert document.data["c"] == {"x": 1, "y": [2]}
    assert document.line(("b", "x")) == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", "job.yaml:3: a: given twice; the first is in line 1"),
        ("a:\n\tb: 1\n", "job.yaml:2:1: a tab cannot indent YAML; use spaces"),
        ("a: [1, 2\nb: 3\n", "job.yaml:2:2: "),
        ("a: b: c\n", "job.yaml:1:5: unexpected ':'"),
        ("a: 1\n---\nb: 2\n", "job.yaml:2:1: more than one document"),
        ("", "job.yaml: the file is empty"),
        ("- a\n", "job.yaml:1: expected `key: value` lines"),
        ("a: !!python/object:os.system x\n", "job.yaml:1: a: tags such as !!python"),
        ("a: &a [*a]\n", "job.yaml:1: a[0]: an alias refers to what contains it"),
        ("a: .inf\n", "job.yaml:1: a: expected a finite number, got .inf"),
        ("a: 1e999\n", "job.yaml:1: a: expected a finite number"),
        ("[a]: 1\n", "job.yaml:1: a key must be plain text"),
        ("a: 1\nb: \x00\n", "job.yaml:2: character "),
        ("a: " + "[" * 5000, "job.yaml: nested too deeply"),
    ],
)
def test_one_precise_problem(text: str, expected: str) -> None:
    assert problem(text).startswith(expected)


def test_aliases_of_aliases_do_not_grow_without_bound() -> None:
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        levels.append(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]")
    assert f"more than {LARGEST_JOB:,} values" in problem("\n".join(levels))


def test_files_that_are_no_jobs(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    for content, expected in (
        (b"a: 1\n# " + b"x" * (1 << 20), "larger than 1,048,576 bytes"),
        (b"a: 1\nb: \xff\xfe\n", ":2: not UTF-8 text"),
    ):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=expected):
            read(path)
    with pytest.raises(BadInput, match="cannot read the job file: no such file"):
        read(tmp_path / "other.yaml")


def test_places_read_as_people_write_them() -> None:
    assert dotted(("attacks", 1, "options", "di", "p")) == "attacks[1].options.di.p"
    overridden = Document("job.yaml", {}, {(): 1}, {("a", 0): "--set a.0"})
    assert overridden.describe(("a", 0)) == "--set a.0"
    assert overridden.describe(("a", 0, "b")) == "--set a.0: a[0].b"
