"""Rendered faces: pictures that are functions of numbers, and the pairs made of them."""

from __future__ import annotations

import sys
from pathlib import Path
from runpy import run_module
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.rendered import TEST_IDENTITIES, TRAIN_IDENTITIES, render
from tests.toys.datasets import opened, problems, spec, write_text

SMALL: dict[str, Any] = {"source": "rendered", "pairs": 40, "identities": 30, "size": 16}
PEOPLE = [0, 7, 7, 999_999, 1_000_000, 3, 12, 12, 5, 2**40]
SHOTS = [0, 1, 2, 5, 0, 9, 4, 4, 2**33, 1]


def opened_pairs(goal: Goal = Goal.IMPERSONATION, seed: int = 0, **fields: Any) -> Any:
    return opened(Path(), goal, seed=seed, **(SMALL | fields))


def loaded(examples: Any, positions: Any) -> tuple[Tensor, Tensor]:
    batch = examples.load(positions).batch
    return batch.images, batch.references


@pytest.mark.parametrize("size", [16, 33])  # 48 is below
def test_a_picture_is_the_same_in_any_batch_and_order(size: int) -> None:
    whole = render(PEOPLE, SHOTS, size=size)
    assert whole.shape == (10, 3, size, size)
    assert whole.dtype == torch.uint8
    order = [4, 9, 0, 8, 2, 1, 7, 5]
    some = render([PEOPLE[i] for i in order], [SHOTS[i] for i in order], size=size)
    assert torch.equal(some, whole[order])
    for i in range(10):
        assert torch.equal(render([PEOPLE[i]], [SHOTS[i]], size=size)[0], whole[i])
    assert torch.equal(whole[6], whole[7])


def test_a_picture_is_the_same_in_every_chunk() -> None:
    # At 48 px, 56 pictures are painted at a time.
    numbers = torch.arange(120)
    whole = render(numbers, numbers + 1)
    assert torch.equal(render(numbers[50:61], numbers[50:61] + 1), whole[50:61])
    assert torch.equal(render(numbers.tolist(), (numbers + 1).tolist()), whole)


def test_global_generators_have_no_part() -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = render([3, 4], [0, 1])
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(render([3, 4], [0, 1]), first)


def test_seed_person_and_shot_change_the_picture() -> None:
    pictures = [
        render([1], [1], seed=0),
        render([1], [1], seed=1),
        render([2], [1], seed=0),
        render([1], [2], seed=0),
        render([1_000_001], [1], seed=0),
    ]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert (one.float() - other.float()).abs().mean() > 5


def test_training_and_test_people_are_a_million_apart() -> None:
    assert (TRAIN_IDENTITIES, TEST_IDENTITIES) == (0, 1_000_000)


def test_pictures_of_one_person_are_closer_than_of_two() -> None:
    """Weak evidence is enough: nuisance is meant to dominate the pixels."""
    people, shots = 60, 8
    numbers = torch.arange(people).repeat_interleave(shots)
    rows = render(numbers, torch.arange(shots).repeat(people), size=24).double().flatten(1)
    rows = torch.nn.functional.normalize(rows - rows.mean(0), dim=1).unflatten(0, (people, shots))
    likeness = torch.einsum("isp,jtp->ijst", rows, rows)
    other_shot = ~torch.eye(shots, dtype=torch.bool)
    same = torch.stack([likeness[i, i][other_shot].mean() for i in range(people)])
    others = ~torch.eye(people, dtype=torch.bool)
    different = torch.stack([likeness[i, others[i]].mean() for i in range(people)])
    gap = same - different
    assert gap.mean() > 4 * gap.std() / people**0.5
    assert same.mean() < 0.5


def test_traits_stay_and_circumstances_change() -> None:
    """Average the nuisance away: what is left of a person is far from what is left of another."""
    shots = torch.arange(64)
    halves = [
        render(torch.full((64,), person), shots + start, size=24).double().mean(0)
        for person in (0, 1)
        for start in (0, 64)
    ]
    within = max((halves[0] - halves[1]).abs().mean(), (halves[2] - halves[3]).abs().mean())
    between = (halves[0] - halves[2]).abs().mean()
    assert between > 1.5 * within
    spread = render(torch.full((64,), 0), shots, size=24).double().std(0).mean()
    assert spread > 30


def test_brightness_is_that_of_photographs() -> None:
    numbers = torch.arange(200)
    pictures = render(numbers, numbers, size=24).double()
    assert 80 < pictures.mean() < 160
    means = pictures.flatten(1).mean(1)
    assert means.min() > 20
    assert means.max() < 235
    assert pictures.flatten(1).std(1).min() > 10


@pytest.mark.parametrize(
    ("people", "shots", "size", "message"),
    [
        ([-1], [0], 48, "identities holds -1"),
        ([0, 1], [0, -5], 48, "shots holds -5"),
        ([0.5], [0], 48, "identities holds 0.5"),
        ([0], [0], 15, "size is 15, expected 16"),
        ([0, 1], [0], 48, "2 identities and 1 shots"),
    ],
)
def test_bad_numbers_are_refused(people: Any, shots: Any, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(people, shots, size=size)
    with pytest.raises(ValueError, match=message):
        render(torch.tensor(people), torch.tensor(shots), size=size)


def test_no_numbers_give_no_pictures() -> None:
    assert render([], []).shape == (0, 3, 48, 48)


def test_the_contact_sheet_has_a_row_for_each_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "sheet.png"
    given = ["--identities", "2", "--shots", "3", "--size", "16", "--first", "5", "--seed", "1"]
    monkeypatch.setattr(sys, "argv", ["rendered", str(out), *given])
    run_module("gauntlet.pipeline.data.rendered", run_name="__main__")
    with Image.open(out) as image:
        sheet = np.asarray(image)
    assert sheet.shape == (32, 48, 3)
    expected = render([6], [2], size=16, seed=1)[0].permute(1, 2, 0).numpy()
    assert (sheet[16:, 32:] == expected).all()


def test_the_goal_determines_which_pairs_are_attacked() -> None:
    different = opened_pairs()
    assert different.ids == tuple(f"different-{number:05d}" for number in range(20))
    same = opened_pairs(Goal.DODGING)
    assert same.ids == tuple(f"same-{number:05d}" for number in range(20))
    assert opened_pairs(Goal.DODGING, kind="different").ids == different.ids


def test_pairs_show_what_their_kind_says() -> None:
    examples = opened_pairs()
    pairs = examples.verification_pairs()
    assert len(pairs.same) == 40
    assert pairs.same.sum() == 20
    names = examples.image_names
    people = [
        (names[a].split("/")[0], names[b].split("/")[0])
        for a, b in zip(pairs.first, pairs.second, strict=True)
    ]
    assert [one == other for one, other in people] == pairs.same.tolist()
    assert len(set(names)) == len(names) == 80


@pytest.mark.parametrize(("identities", "pairs"), [(20, 400), (1000, 6000)])
def test_folds_are_equal_and_share_no_person(identities: int, pairs: int) -> None:
    examples = opened_pairs(identities=identities, pairs=pairs)
    whole = examples.verification_pairs()
    folds: dict[int, set[str]] = {}
    for a, b, fold in zip(whole.first, whole.second, whole.fold.tolist(), strict=True):
        people = {examples.image_names[position].split("/")[0] for position in (a, b)}
        folds.setdefault(fold, set()).update(people)
    assert sorted(folds) == list(range(10))
    everybody = [person for people in folds.values() for person in people]
    assert len(everybody) == len(set(everybody))
    numbers = [int(person) for person in everybody]
    assert min(numbers) >= TEST_IDENTITIES
    assert max(numbers) < TEST_IDENTITIES + identities
    assert len(numbers) > 0.9 * identities
    for fold in range(10):
        assert whole.same[whole.fold == fold].tolist().count(True) == pairs // 20
        assert whole.same[whole.fold == fold].tolist().count(False) == pairs // 20


def test_images_are_the_rendered_ones() -> None:
    examples = opened_pairs()
    images, references = loaded(examples, [3, 17])
    whole = examples.verification_pairs()
    attacked = [row for row, same in enumerate(whole.same.tolist()) if not same]
    for ends, found in ((whole.first, images), (whole.second, references)):
        positions = [ends[attacked[row]] for row in (3, 17)]
        names = [examples.image_names[position].split("/") for position in positions]
        people, shots = ([int(name[part]) for name in names] for part in (0, 1))
        expected = render(people, shots, size=16).float() / 255
        assert torch.equal(found, expected)
        assert torch.equal(examples.images(positions), expected)
    assert examples.listing.store.read(5).shape == (16, 16, 3)
    assert np.array_equal(
        examples.listing.store.read(5), examples.listing.store.read_all([9, 5])[1]
    )


def test_an_id_means_the_same_pair_however_many_there_are() -> None:
    few, many = opened_pairs(), opened_pairs(pairs=200)
    assert few.ids == many.ids[:20]
    for one, other in zip(loaded(few, range(20)), loaded(many, range(20)), strict=True):
        assert torch.equal(one, other)


def test_limit_order_and_ids_choose_the_attacked_only(tmp_path: Path) -> None:
    whole = opened_pairs()
    few = opened_pairs(limit=3, order="random")
    assert len(few) == 3
    assert few.ids != whole.ids[:3]
    assert few.verification_pairs().fingerprint == whole.verification_pairs().fingerprint
    write_text(tmp_path / "ids.csv", "id", "different-00017", "different-00002")
    named = opened(tmp_path, Goal.IMPERSONATION, **SMALL, ids="ids.csv")
    assert named.ids == ("different-00017", "different-00002")
    assert torch.equal(loaded(named, [0])[0], loaded(whole, [17])[0])
    write_text(tmp_path / "ids.csv", "id", "same-00001")
    wrong = problems(tmp_path, Goal.IMPERSONATION, **SMALL, ids="ids.csv")
    assert len(wrong) == 1
    assert "'same-00001' is not among the 20 examples" in wrong[0]


def test_the_seed_of_the_run_changes_no_face() -> None:
    for one, other in zip(
        loaded(opened_pairs(), [0, 1]), loaded(opened_pairs(seed=5), [0, 1]), strict=True
    ):
        assert torch.equal(one, other)


def test_trap_18_every_field_of_the_source_changes_something() -> None:
    plain = opened_pairs()
    faces = opened_pairs(faces=1)
    assert faces.image_names != plain.image_names
    assert not torch.equal(loaded(faces, [0])[0], loaded(plain, [0])[0])
    assert loaded(opened_pairs(size=20), [0])[0].shape == (1, 3, 20, 20)
    assert len(opened_pairs(pairs=60)) == 30
    assert opened_pairs(identities=300).image_names != plain.image_names


def test_the_fingerprint_is_of_every_field_that_changes_a_face() -> None:
    changes: list[dict[str, Any]] = [{}, {"size": 20}, {"faces": 1}, {"pairs": 60}]
    changes.append({"identities": 300})
    found = [opened_pairs(**change).verification_pairs().fingerprint for change in changes]
    assert len(set(found)) == len(found)


def test_labels_are_not_to_be_had() -> None:
    assert problems(Path(), Goal.UNTARGETED, **SMALL) == [
        "data.source: 'rendered' holds examples for verification, goal 'untargeted' needs "
        "classification"
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pairs", 50, "50 is no multiple of 20"),
        ("pairs", 0, "greater than or equal to 20"),
        ("identities", 33, "33 is no multiple of 10"),
        ("identities", 10, "greater than or equal to 20"),
        ("size", 15, "greater than or equal to 16"),
        ("faces", -1, "greater than or equal to 0"),
    ],
)
def test_bad_settings_are_refused(field: str, value: int, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**(SMALL | {field: value}))
