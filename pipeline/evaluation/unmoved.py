"""Images that attacks left as they were: why, and how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd


def unmoved(sizes: Mapping[str, int], still: Iterable[tuple[str, str | None]]) -> pd.DataFrame:
    """Return how many images each attack left as they were, one row an attack x cause.

    Args:
        sizes: images of each attack.
        still: columns ``attack, unmoved`` of the rows of the table `examples` whose ``linf`` is 0.

    Returns:
        ``attack``, ``cause`` (a value of the column ``unmoved``; "unknown" where the run did not
        record it), ``count`` and ``examples``, the number of the attack's images.
    """
    counts = Counter((attack, "unknown" if cause is None else cause) for attack, cause in still)
    rows = [(*key, count, sizes[key[0]]) for key, count in counts.items()]
    return pd.DataFrame(rows, columns=["attack", "cause", "count", "examples"])
