"""Photographs by person: a folder with a sub-folder for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch

from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.tree import note_left_out, read_tree
from gauntlet.pipeline.draws import Draws

People = dict[str, list[str]]
"""The photographs of each person, paths below the folder, both sorted."""


def read_people(root: Path, field: str, found: Found) -> People:
    """Return the people in a folder; without sub-folders each image is a person of its own.

    Args:
        root: the folder.
        field: the job's field that names it.
        found: takes what is wrong, and what is left out.
    """
    if not root.is_dir():
        found.add(field, f"no such folder: {root}")
        return {}
    tree = read_tree(root)
    note_left_out(tree.others, found)
    people: People = defaultdict(list)
    below = any("/" in name for name in tree.images)
    for name in tree.images:
        if "/" in name or not below:
            people[name.split("/", 1)[0]].append(name)
    found.leave_out("in no person's folder", [n for n in tree.images if below and "/" not in n])
    if not people:
        found.add(field, f"no image files: {root}")
    return dict(people)


def by_folder(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return whom each image shows, by the sub-folder that it is in; None where one is in none."""
    people = tuple(name.partition("/")[0] for name in names if "/" in name)
    return people if len(people) == len(names) else None


def shuffled(people: People, seed: int) -> list[str]:
    """Return the people's names in an order by hash of seed and name."""
    names = sorted(people)
    bits = Draws.keyed(seed, names, attack="people").bits("order")
    return [names[place] for place in torch.argsort(bits, stable=True).tolist()]


def portraits(people: People, seed: int) -> dict[str, str]:
    """Return the one photograph that stands for each person, drawn by hash of seed and name."""
    names = sorted(people)
    drawn = Draws.keyed(seed, names, attack="people").uniform("portrait", dtype=torch.float64)
    return {
        name: people[name][int(share * len(people[name]))]
        for name, share in zip(names, drawn.tolist(), strict=True)
    }
