"""Pairs drawn from folders of people, and attackers against victims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.problems import BadInput
from tests.toys.datasets import grow, opened, problems

IMPERSONATION, DODGING = Goal.IMPERSONATION, Goal.DODGING
FIELDS: dict[str, Any] = {"source": "identities", "root": "people", "pairs": 24, "folds": 3}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    names = [f"p{person}/{n}.png" for person in range(9) for n in range(1 + person % 4)]
    grow(tmp_path / "people", *names)
    return tmp_path


def drawn(examples: Examples) -> list[tuple[str, str, bool, int]]:
    pairs, names = examples.verification_pairs(), examples.image_names
    rows = zip(pairs.first, pairs.second, pairs.same.tolist(), pairs.fold.tolist(), strict=True)
    return [(names[a], names[b], same, fold) for a, b, same, fold in rows]


def person(name: str) -> str:
    return name.split("/")[0]


def test_pairs_are_what_they_say_and_no_person_is_in_two_folds(people: Path) -> None:
    found = drawn(opened(people, IMPERSONATION, **FIELDS))
    assert [(same, fold) for *_, same, fold in found] == [
        (same, fold) for fold in range(3) for same in (True, False) for _ in range(4)
    ]
    folds: dict[str, set[int]] = {}
    for first, second, same, fold in found:
        assert first != second
        assert (person(first) == person(second)) == same
        folds.setdefault(person(first), set()).add(fold)
        folds.setdefault(person(second), set()).add(fold)
    assert {len(where) for where in folds.values()} == {1}
    assert len({frozenset(pair[:2]) for pair in found}) == len(found)


def test_pairs_are_keyed_by_their_own_seed(people: Path) -> None:
    first = drawn(opened(people, IMPERSONATION, **FIELDS))
    assert drawn(opened(people, DODGING, seed=5, **FIELDS)) == first
    assert drawn(opened(people, IMPERSONATION, **FIELDS, drawn=1)) != first
    fewer = drawn(opened(people, IMPERSONATION, **(FIELDS | {"pairs": 12})))
    assert set(fewer) < set(first)


def test_gallery_one_gives_each_person_one_photograph(people: Path) -> None:
    fields = FIELDS | {"pairs": 12, "gallery": "one"}
    found = drawn(opened(people, IMPERSONATION, **fields))
    shown: dict[str, set[str]] = {}
    for _, second, _, _ in found:
        shown.setdefault(person(second), set()).add(second)
    assert {len(photographs) for photographs in shown.values()} == {1}
    assert all(first not in shown.get(person(first), ()) for first, _, same, _ in found if same)


def test_what_cannot_be_drawn(people: Path) -> None:
    for changes, message in (
        ({"pairs": 20}, "data.pairs: 20 is no multiple of 6, as 3 equal folds of two kinds need"),
        ({"folds": 5, "pairs": 20}, "has 9 people, too few for 5 folds of two or more"),
        ({"pairs": 240}, "different pairs of one person found in fold 1, 40 wanted"),
        ({"root": "none"}, f"data.root: no such folder: {people / 'none'}"),
    ):
        found = problems(people, DODGING, **(FIELDS | changes))
        assert message in found[0], found


def test_red_teams(tmp_path: Path) -> None:
    attackers = [f"a{number}/{shot}.png" for number in range(3) for shot in (0, 1)]
    grow(tmp_path / "attackers", *attackers)
    grow(tmp_path / "victims", *(f"v{number}/{shot}.png" for number in range(4) for shot in "xyz"))
    fields: dict[str, Any] = {"source": "red-team", "attackers": "attackers", "victims": "victims"}
    examples = opened(tmp_path, IMPERSONATION, **fields)
    assert len(examples) == 6 * 4
    victims = {name.split("|")[1] for name in examples.ids}
    assert sorted(name.split("/")[1] for name in victims) == ["v0", "v1", "v2", "v3"]
    assert examples.load([0]).batch is not None
    assert len(opened(tmp_path, IMPERSONATION, **fields, gallery="all")) == 6 * 12
    with pytest.raises(BadInput, match="has one kind only"):
        examples.verification_pairs()
    grow(tmp_path / "victims", "a1/0.png")
    (message,) = problems(tmp_path, IMPERSONATION, **fields)
    assert message == (
        "data.victims: 1 people are attackers and victims (a1): they would attack themselves"
    )
    (message,) = problems(tmp_path, DODGING, **(fields | {"victims": "none"}))
    assert message == f"data.victims: no such folder: {tmp_path / 'none'}"


def test_red_teams_of_single_photographs(tmp_path: Path) -> None:
    grow(tmp_path / "in", "ann.png", "bo.png")
    grow(tmp_path / "out", "cy.png")
    fields: dict[str, Any] = {"source": "red-team", "attackers": "in", "victims": "out"}
    examples = opened(tmp_path, IMPERSONATION, **fields)
    assert examples.ids == ("in/ann.png|out/cy.png", "in/bo.png|out/cy.png")
