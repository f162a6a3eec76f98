"""What is said below a summary's tables: what their figures mean, and what they are not from."""

from __future__ import annotations

import pandas as pd

from gauntlet.jobs.reports.table_cells import has
from gauntlet.pipeline.results.manifest import Manifest
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.schema import BELOW_A_LEVEL, NO_GRADIENT

HEADLINE = (
    "success: of the n examples that the target got right before the attack (the headline); "
    "of all: of all examples; in brackets 95 % intervals; linf, l2: mean change in 8-bit steps"
)
"""What the table's figures are; the verdicts hold both denominators."""
UTILITY = (
    "utility: mean transfer utility, the gain in the logit margin of the best wrong class "
    "(score - clean_score)"
)
LOO = (
    "success and all other figures: after the last update. LOO (leave-one-out): each image after "
    "the update at which most of the other images fool the same target, chosen on that target's "
    "own answers: an upper view, not comparable with last-step rates"
)
"""What the leave-one-out column is (specification, trap 19)."""
MATRIX = {
    "success": "of the {} examples that a target got right before the attack (the headline); in "
    "brackets 95 % intervals; l2: mean change in 8-bit steps; --long has the other figures",
    "score": "of all {} examples: the attacker's logit margin (> 0 succeeds), or the cosine of a "
    "pair; l2: mean change in 8-bit steps",
    "utility": "of all {} examples: the gain in the logit margin of the best wrong class; l2: mean "
    "change in 8-bit steps",
}
"""What the cells of a matrix are, by what they show."""
MARKS = (
    "* {} of its column; ~ not told from it on the same examples (McNemar's test; for means over "
    "targets, signs flipped example by example; 5 %, Holm's correction within the column)"
)
SEEDS = (
    "±: standard deviation over {} seeds, with which the interval is over examples and seeds; "
    "attacks without it draw nothing, and were made once"
)
"""What several seeds mean for a table."""
SHOWN_UNMOVED = 5
"""Lines about images that attacks left as they were."""
_CAUSES = {
    NO_GRADIENT: "the gradient was zero at every update",
    BELOW_A_LEVEL: "budget or steps below one level: rounding to 8 bits took the change back",
}


def notes(table: pd.DataFrame) -> list[str]:
    """Return what the figures of a table mean."""
    lines = [HEADLINE]
    if has(table, "seeds"):
        lines.append(SEEDS.format(table["seeds"].max()))
    if has(table, "transfer_utility"):
        lines.append(UTILITY)
    if has(table, "loo_all"):
        lines.append(LOO)
    return lines


def matrix_notes(groups: pd.DataFrame, values: str, marked: bool, lowest: bool) -> list[str]:
    """Return what the figures and marks of a matrix mean.

    Args:
        groups: from `gauntlet.jobs.reports.frames.Figures`.
        values: what a cell shows.
        marked: whether any is marked.
        lowest: whether the lowest is the best.
    """
    n = sorted({*groups["n" if values == "success" else "n_all"]})
    of = f"{n[0]}" if len(n) == 1 else f"{n[0]} to {n[-1]}"
    lines = [MATRIX[values].format(of)]
    if has(groups, "seeds"):
        lines.append(SEEDS.format(groups["seeds"].max()))
    if marked:
        lines.append(MARKS.format("lowest" if lowest else "best"))
    return lines


def threshold_notes(manifest: Manifest) -> list[str]:
    """Return the thresholds of a run that are not from all pairs of the list, in words."""
    found = manifest.thresholds or {}
    return [entry.in_words(name) for name, entry in found.items() if not entry.from_all_pairs]


def excess_words(record: Record | None) -> list[str]:
    """Return by how much foreign attacks had left the balls that they are judged in."""
    found = {} if record is None else record.excess
    return [
        f"{attack} is foreign: its images had left the ball by up to {most:.4g} 8-bit steps, and "
        "were clipped to it"
        if most
        else f"{attack} is foreign: its images were inside the ball"
        for attack, most in sorted(found.items())
    ]


def narrowed_words(record: Record | None) -> list[str]:
    """Return what is to be said of units that there was not the memory for, as the plan has it."""
    narrowed = {} if record is None else record.narrowed
    if not narrowed:
        return []
    units = "1 unit" if len(narrowed) == 1 else f"{len(narrowed):,} units"
    sizes = ", ".join(map(str, sorted({*narrowed.values()}, reverse=True)))
    return [
        f"{units} of work done with fewer rows a pass than planned, as memory was short "
        f"(resources.rows_per_pass {sizes}): the last bits of their figures may differ"
    ]


def unmoved_words(table: pd.DataFrame) -> list[str]:
    """Return what is to be said of images that attacks left as they were.

    Args:
        table: from `gauntlet.jobs.reports.frames.Figures.unmoved`.
    """
    lines = [
        f"not changed by {row['attack']}: {row['count']} of {row['examples']} images "
        f"({_CAUSES.get(row['cause'], row['cause'])})"
        for row in table.head(SHOWN_UNMOVED).to_dict("records")
    ]
    if len(table) > SHOWN_UNMOVED:
        rest = table[SHOWN_UNMOVED:]["attack"].nunique()
        lines.append(f"... and images of {rest} more attacks: column `unmoved` of `examples`")
    return lines
