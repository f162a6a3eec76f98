"""How the chosen examples are cut into batches, also when `resources.batch` changed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gauntlet.pipeline.problems import BadInput, Problem


def batches(count: int, size: int, kept: Sequence[tuple[int, int]] = ()) -> Iterator[range]:
    """Yield the positions of each batch, in order; together they are 0 to ``count`` - 1, once each.

    Args:
        count: number of examples.
        size: of a batch; the last before a kept one, or of all, may be smaller.
        kept: batches that stay as they are, first position and the one behind the last: units of
            theirs are done, under names that depend on the examples.

    Raises:
        BadInput: when kept batches are not among the examples, or share some.
    """
    for gap, after in _cut(count, kept):
        for begin in range(gap.start, gap.stop, size):
            yield range(begin, min(begin + size, gap.stop))
        if after:
            yield after


def number_of_batches(count: int, size: int, kept: Sequence[tuple[int, int]] = ()) -> int:
    """Return how many `batches` there are, however many examples.

    Raises:
        BadInput: as `batches`.
    """
    return sum(-(-len(gap) // size) + bool(after) for gap, after in _cut(count, kept))


def _cut(count: int, kept: Sequence[tuple[int, int]]) -> Iterator[tuple[range, range]]:
    """Yield what lies before each kept batch, and that batch; an empty one at the end."""
    place = 0
    for first, stop in (*sorted(kept), (count, count)):
        if not place <= first <= stop <= count:
            what = f"keeps a batch {first:,} to {stop:,} that {count:,} examples do not have"
            raise BadInput(Problem("record", what))
        yield range(place, first), range(first, stop)
        place = stop
