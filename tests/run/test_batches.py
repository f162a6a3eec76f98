"""Batches: every example in one, whatever cut is kept, and no cut that examples do not have."""

from __future__ import annotations

import pytest

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.batches import batches, number_of_batches

KEPT = [(), ((0, 3),), ((4, 7), (2, 4)), ((9, 10),), ((0, 10),), ((5, 5),)]


@pytest.mark.parametrize("kept", KEPT)
def test_each_example_is_in_one_batch(kept: tuple[tuple[int, int], ...]) -> None:
    found = [*batches(10, 4, kept)]
    assert [place for batch in found for place in batch] == [*range(10)]
    assert number_of_batches(10, 4, kept) == len(found)


@pytest.mark.parametrize("kept", [((3, 2),), ((0, 11),), ((2**62, 2**62 + 1),), ((0, 4), (3, 5))])
def test_batches_that_the_examples_do_not_have(kept: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(BadInput, match="keeps a batch"):
        [*batches(10, 4, kept)]
    with pytest.raises(BadInput, match="keeps a batch"):
        number_of_batches(10, 4, kept)


def test_any_number_of_examples_is_counted_at_once() -> None:
    assert number_of_batches(2**62, 4) == 2**60
