"""Images that attacks left as they were: why, and how many."""

from __future__ import annotations

import pandas as pd


def unmoved(examples: pd.DataFrame) -> pd.DataFrame:
    """Return how many images each attack left as they were, one row an attack x cause.

    Args:
        examples: columns ``attack, linf, unmoved`` of the table of that name.

    Returns:
        ``attack``, ``cause`` (a value of the column ``unmoved``; "unknown" where the run did not
        record it), ``count`` and ``examples``, the number of the attack's images.
    """
    sizes = examples.groupby("attack", sort=False, observed=True).size()
    same = examples[examples["linf"] == 0]
    cause = same["unmoved"].fillna("unknown").rename("cause")
    counts = same.groupby(["attack", cause], sort=False, observed=True).size()
    table = counts.rename("count").reset_index()
    return table.assign(examples=table["attack"].map(sizes))
