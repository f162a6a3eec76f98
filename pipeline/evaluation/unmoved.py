"""Images that attacks left as they were: why, and how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd


def unmoved(images: Iterable[tuple[str, float, str | None]]) -> pd.DataFrame:
    """Return how many images each attack left as they were, one row an attack x cause.

    Args:
        images: columns ``attack, linf, unmoved`` of each row of the table `examples`.

    Returns:
        ``attack``, ``cause`` (a value of the column ``unmoved``; "unknown" where the run did not
        record it), ``count`` and ``examples``, the number of the attack's images.
    """
    sizes, counts = Counter[str](), Counter[tuple[str, str]]()
    for attack, linf, cause in images:
        sizes[attack] += 1
        if linf == 0:
            counts[attack, "unknown" if cause is None else cause] += 1
    rows = [(*key, count, sizes[key[0]]) for key, count in counts.items()]
    return pd.DataFrame(rows, columns=["attack", "cause", "count", "examples"])
