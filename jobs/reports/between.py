"""Runs side by side: one method on what all of them share, and what they do not share."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

import pandas as pd

from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.grid import figures, names
from gauntlet.jobs.reports.matching import Matching, matching
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.jobs.reports.written_plan import differing, written_plan
from gauntlet.pipeline.evaluation.between_runs import Apart, Judge, Shared, shared
from gauntlet.pipeline.evaluation.comparison import COMPARED, HELD, WHITE_BOX
from gauntlet.pipeline.evaluation.statistics import Comparison, compare_all
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.manifest import AttackRecord
from gauntlet.pipeline.results.reading import Reading

SHOWN = 5
"""Names of a list that are printed."""
NOTE = (
    "success % of the n examples that a target got right before the attack in every run; in "
    "brackets 95 % intervals, examples drawn anew; * a difference is shown (the interval excludes "
    "0, and McNemar's test on one target has p < 0.05; no correction for the number of rows)"
)


@dataclass
class SideBySide:
    """Runs that were compared.

    Attributes:
        runs: their folders, by the letters that stand for them.
        table: one row a method x group, or target: ``attack``; ``group`` or ``target``;
            ``white_box``; ``targets``; ``n``; ``attack_A`` ..., its label in each run;
            ``success_A`` ...; and for each run after the first its difference from the first,
            ``difference_B``, ``low_B``, ``high_B``, ``p_value_B`` and ``shown_B``.
        remarks: how the runs differ, and what they do not share.
    """

    runs: dict[str, str]
    table: pd.DataFrame
    remarks: list[str] = field(default_factory=list)


def side_by_side(folders: Sequence[str], by_target: bool = False) -> SideBySide:
    """Compare runs on the attacks, targets and examples that all of them share.

    Args:
        folders: of two or more runs; the first is what the others are compared with.
        by_target: a row is of one target, not of a group.

    Raises:
        BadInput: when they are fewer than two, one has no verdicts, or they share nothing.
    """
    if len(folders) < 2:
        raise BadInput(Problem("RUN...", "two runs or more are needed to compare"))
    found = [Figures(Reading(folder)) for folder in folders]
    plans = [written_plan(folder) for folder in folders]
    empty = [Problem(one.run, one.why_empty) for one in found if one.empty]
    if empty:
        raise BadInput(empty)
    runs = dict(zip(_letters(len(folders)), folders, strict=True))
    same = matching([_judged(one) for one in found])
    if not same.attacks:
        what = "share no attack: none has the same label, or the same base and rule only once"
        raise BadInput(Problem(", ".join(folders), what))
    remarks = [
        f"{letter}: {one.run} is not finished; this is of what is"
        for letter, one in zip(runs, found, strict=True)
        if one.reading.units_of_complete is None
    ]
    if fields := differing(plans):
        remarks.append(f"the jobs differ in {', '.join(fields)}")
    if "data" in fields:
        remarks.append("their data are stated differently: examples are matched by their ids")
    remarks += _other_models(found)
    rows, apart = _rows(found, same, by_target)
    remarks += _not_shared([*runs], same, apart)
    if not rows:
        what = "share no target that judged the same examples, right before the attack in all runs"
        raise BadInput(Problem(", ".join(folders), "; ".join([what, *remarks])))
    return SideBySide(runs, _table(rows, [*runs], by_target), remarks)


def print_side_by_side(found: SideBySide, by_target: bool, console: Terminal) -> None:
    """Print a comparison of runs, and what they do not share."""
    for letter, run in found.runs.items():
        console.print(f"{letter}: {run}", soft_wrap=True)
    headings, rows = cells(found, by_target)
    columns = [*names(*headings[:2]), *figures(*headings[2:])]
    title = f"success % of {', '.join(found.runs)} on what they share"
    print_table(console, title, columns, rows, nested=True, elsewhere="--csv FILE has all")
    console.print(NOTE, style="dim")
    for line in found.remarks:
        console.print(line, style="yellow", soft_wrap=True)


def cells(found: SideBySide, by_target: bool) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a comparison of runs as text."""
    by = "target" if by_target else "group"
    first, *others = found.runs
    headings = ["attack", by, "n", *found.runs, *(f"{letter} - {first}" for letter in others)]
    rows = []
    for row in found.table.to_dict("records"):
        name = f"{row[by]}{WHITE_BOX}" if row["white_box"] and row[by] != "white-box" else row[by]
        judge = name if by_target or row["targets"] == 1 else f"{name} x {row['targets']}"
        rates = [f"{100 * row[f'success_{letter}']:.1f}" for letter in found.runs]
        rows.append([row["attack"], judge, str(row["n"]), *rates,
                     *(_difference(row, letter) for letter in others)])  # fmt: skip
    return headings, rows


def _difference(row: Mapping[Hashable, Any], letter: str) -> str:
    value, low, high = (
        100 * float(row[f"{name}_{letter}"]) for name in ("difference", "low", "high")
    )
    return f"{value:+.1f}{'*' if row[f'shown_{letter}'] else ' '} [{low:+.1f}, {high:+.1f}]"


def _letters(count: int) -> Iterator[str]:
    """Yield names for runs: A to Z, then A2 ..."""
    for place in range(count):
        turn, letter = divmod(place, len(ascii_uppercase))
        yield f"{ascii_uppercase[letter]}{turn + 1 if turn else ''}"


def _judged(found: Figures) -> list[AttackRecord]:
    """Return the attacks of a run that were judged, one a label."""
    known = {record.attack: record for record in reversed(found.reading.manifest.attacks)}
    return [known[label] for label in found.attacks if label in known]


Row = tuple[str, tuple[str, ...], Judge, Shared, list[Comparison]]
"""Name of a method, its labels, who judged, what runs share, and each run after the first beside
it."""


def _rows(
    found: Sequence[Figures], same: Matching, by_target: bool
) -> tuple[list[Row], list[Apart]]:
    """Return the rows of the table, and what runs do not share of each attack."""
    rows: list[Row] = []
    apart: list[Apart] = []
    waiting: list[tuple[str, tuple[str, ...], Judge, Shared]] = []
    for name, labels in same.attacks.items():
        pairs = zip(found, labels, strict=True)
        verdicts = [one.verdicts.at_last_step(label, COMPARED) for one, label in pairs]
        groups, missing = shared(verdicts, by_target)
        apart.append(missing)
        waiting += [(name, labels, judge, group) for judge, group in groups.items()]
        if sum(table.nbytes for *_, group in waiting for table in group.success) > HELD:
            rows += _compared(waiting)
            waiting = []
    return rows + _compared(waiting), apart


def _compared(waiting: Sequence[tuple[str, tuple[str, ...], Judge, Shared]]) -> list[Row]:
    # At once: what is drawn for one pair of tables serves all that are as long.
    pairs = [(table, s.success[0]) for *_, s in waiting for table in s.success[1:]]
    results = iter(compare_all(pairs, [("", "")] * len(pairs)))
    return [(*row, [next(results) for _ in row[-1].success[1:]]) for row in waiting]


def _table(rows: Sequence[Row], letters: Sequence[str], by_target: bool) -> pd.DataFrame:
    records = []
    for name, labels, (judge, box), group, results in rows:
        record: dict[str, object] = {"attack": name, "target" if by_target else "group": judge}
        record |= {"white_box": box, "targets": len(group.targets), "n": group.n}
        record |= {f"attack_{a}": label for a, label in zip(letters, labels, strict=True)}
        record |= {f"success_{a}": rate for a, rate in zip(letters, group.rates, strict=True)}
        for letter, result in zip(letters[1:], results, strict=True):
            gain, test = result.difference, result.mcnemar
            record |= {f"difference_{letter}": gain.value, f"low_{letter}": gain.low}
            record |= {f"high_{letter}": gain.high, f"shown_{letter}": result.shown}
            record[f"p_value_{letter}"] = None if test is None else test.p_value
        records.append(record)
    return pd.DataFrame(records)


def _other_models(found: Sequence[Figures]) -> list[str]:
    """Return a line on targets that are other networks, weights or defences under one name."""
    prints: dict[str, set[str]] = {}
    for one in found:
        for name, card in one.reading.manifest.models.items():
            prints.setdefault(name, set()).add(card.fingerprint)
    other = [name.partition("/")[2] for name, known in prints.items()
             if name.startswith("target/") and len(known) > 1]  # fmt: skip
    if not other:
        return []
    return [f"not the same model in all runs (weights, adapter or defence): {_some(other)}"]


def _not_shared(letters: Sequence[str], same: Matching, apart: Sequence[Apart]) -> list[str]:
    """Return lines on what is in one run and not in all."""
    lines = [
        f"{name}: {', '.join(f'{a} {label}' for a, label in zip(letters, labels, strict=True))}"
        for name, labels in same.attacks.items()
        if len({*labels}) > 1
    ]
    boxes = sorted(frozenset().union(*(each.boxes for each in apart)))
    if boxes:
        lines.append(f"left out, a white box in some runs only: {_some(boxes)}")
    for place, letter in enumerate(letters):
        examples = frozenset().union(*(each.examples[place] for each in apart))
        targets = frozenset().union(*(each.targets[place] for each in apart))
        parts = []
        if same.alone[place]:
            parts.append(f"attacks {_some(same.alone[place])}")
        if targets:
            parts.append(f"targets {_some(sorted(targets))}")
        if examples:
            parts.append(f"{len(examples):,} examples")
        if parts:
            lines.append(f"not in all runs, left out of {letter}: {'; '.join(parts)}")
    return lines


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
