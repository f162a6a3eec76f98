"""How the chosen examples are cut into batches, also when `resources.batch` changed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def batches(count: int, size: int, kept: Sequence[tuple[int, int]] = ()) -> Iterator[range]:
    """Yield the positions of each batch, in order; together they are 0 to ``count`` - 1, once each.

    Args:
        count: number of examples.
        size: of a batch; the last before a kept one, or of all, may be smaller.
        kept: batches that stay as they are, first position and the one behind the last: units of
            theirs are done, under names that depend on the examples.
    """
    place = 0
    for first, stop in (*sorted(kept), (count, count)):
        for begin in range(place, first, size):
            yield range(begin, min(begin + size, first))
        if stop > first:
            yield range(first, stop)
        place = stop
