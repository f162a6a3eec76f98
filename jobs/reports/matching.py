"""Which attacks of several runs are the same method, whatever their budgets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from gauntlet.pipeline.results.manifest import AttackRecord


@dataclass(frozen=True)
class Matching:
    """What runs have in common.

    Attributes:
        attacks: by a name, the label in each run.
        alone: of each run, the labels that match nothing in another.
    """

    attacks: dict[str, tuple[str, ...]]
    alone: tuple[tuple[str, ...], ...]


def matching(runs: Sequence[Sequence[AttackRecord]]) -> Matching:
    """Match attacks by label; those that are left by base and rule, where only one has them in each
    run; and if every run has one attack, these.

    Args:
        runs: the attacks of each, one a label.
    """
    attacks: dict[str, tuple[str, ...]] = {}
    left = [{record.attack: record for record in records} for records in runs]
    for name, alike in _RULES if max(map(len, runs)) > 1 else (*_RULES, _ONLY):
        keys = [{label: alike(record) for label, record in known.items()} for known in left]
        once = [
            {key: label for label, key in found.items() if Counter(found.values())[key] == 1}
            for found in keys
        ]
        for key in once[0]:
            labels = [known.get(key) for known in once]
            if None in labels:
                continue
            found = tuple(label for label in labels if label is not None)
            attacks[name(left[0][found[0]])] = found
        gone = [{labels[run] for labels in attacks.values()} for run in range(len(runs))]
        left = [
            {label: record for label, record in known.items() if label not in settled}
            for known, settled in zip(left, gone, strict=True)
        ]
    order = {record.attack: place for place, record in enumerate(runs[0])}
    by_place = sorted(attacks.items(), key=lambda item: order[item[1][0]])
    return Matching(dict(by_place), tuple(tuple(known) for known in left))


_Name = Callable[[AttackRecord], str]
_Alike = Callable[[AttackRecord], Hashable]
_RULES: tuple[tuple[_Name, _Alike], ...] = (
    (lambda record: record.attack, lambda record: record.attack),
    (lambda record: f"{record.base}/{record.combine}", lambda r: (r.base, r.combine)),
)
_ONLY: tuple[_Name, _Alike] = (lambda record: record.attack, lambda record: True)
