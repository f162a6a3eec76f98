"""The examples of a run: named, checked, and decoded when their turn comes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.data.account import Account
from gauntlet.pipeline.data.decoding import Pixels, Undecodable
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing, Positions
from gauntlet.pipeline.data.pair_list import PairList, Rejected, pair_list
from gauntlet.pipeline.data.selection import select
from gauntlet.pipeline.data.sources.source import DataSource
from gauntlet.pipeline.problems import BadInput, Problem

__all__ = ["Examples", "Loaded", "PairList", "Rejected", "check", "open_examples"]


@dataclass(frozen=True)
class Loaded:
    """Decoded examples, and those that could not be decoded.

    Attributes:
        batch: the decodable ones in the order asked for; None when there is none.
        rejected: the others.
    """

    batch: Batch | None
    rejected: list[Rejected]


@dataclass(frozen=True)
class Examples:
    """N examples by stable id; holds no pixels, and can be sent to other processes.

    Attributes:
        goal: what the attacker wants from each of them.
        listing: the examples, and where their images are.
        account: what the source holds, whichever of it these examples are.
    """

    goal: Goal
    listing: Listing
    account: Account = field(default_factory=Account)

    def __len__(self) -> int:
        return len(self.listing)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the examples: ``archive/17``, ``class/file.png``, ``s1/1.pgm|s3/7.pgm``."""
        return self.listing.ids

    @property
    def wanted(self) -> Positions | None:
        """Classes wanted by a targeted attack, int64 (N,)."""
        return self.listing.wanted

    @property
    def image_names(self) -> Sequence[str]:
        """Names of the single images that `images` and `verification_pairs` count."""
        return self.listing.store.names

    def subset(self, positions: Sequence[int] | Positions) -> Examples:
        """Return the examples at some positions, in that order."""
        return replace(self, listing=self.listing.rows(positions))

    def select(self, ids: Sequence[str]) -> Examples:
        """Return the examples of some ids, in that order.

        Raises:
            BadInput: when an id is unknown.
        """
        return self.subset(self.positions(ids))

    def positions(self, ids: Sequence[str]) -> Positions:
        """Return where the examples of some ids are, in that order, int64.

        Raises:
            BadInput: when an id is unknown.
        """
        found = self._in_order(ids)
        if found is not None:
            return found
        place = {example: position for position, example in enumerate(self.ids)}
        unknown = [example for example in ids if example not in place]
        if unknown:
            shown = ", ".join(map(repr, unknown[:3]))
            raise BadInput(
                Problem(
                    "data", f"{len(unknown)} ids are not among the {len(self)} examples: {shown}"
                )
            )
        return np.array([place[example] for example in ids], np.int64)

    def _in_order(self, ids: Sequence[str]) -> Positions | None:
        """Return where they are if they come in the order of the list, which takes no index."""
        found, walk = np.empty(len(ids), np.int64), enumerate(self.ids)
        for number, wanted in enumerate(ids):
            found[number] = next((place for place, example in walk if example == wanted), -1)
            if found[number] < 0:
                return None
        return found

    def load(self, positions: Sequence[int]) -> Loaded:
        """Decode the examples at some positions.

        Images are float32, (B, 3, H, W) in [0, 1]; labels, wanted classes and references are there
        as the goal needs them. A broken image never raises.
        """
        listing = self.listing
        chosen = np.asarray(positions, dtype=np.int64)
        ends = [listing.first] if listing.second is None else [listing.first, listing.second]
        columns = [listing.store.read_all(end[chosen].tolist()) for end in ends]
        kept: list[int] = []
        decoded: list[list[Pixels]] = []
        rejected: list[Rejected] = []
        roles = ("", "image of the wanted class, " if self.goal is Goal.TARGETED else "")
        for position, images in zip(positions, zip(*columns, strict=True), strict=True):
            broken = [
                f"{role}{image}"
                for role, image in zip(roles, images, strict=False)
                if isinstance(image, Undecodable)
            ]
            if broken:
                rejected.append(Rejected(listing.ids[position], broken[0]))
            else:
                kept.append(position)
                decoded.append([image for image in images if not isinstance(image, Undecodable)])
        if not kept:
            return Loaded(None, rejected)

        def rows(values: Positions | None) -> Tensor | None:
            return None if values is None else torch.from_numpy(values[kept])

        batch = Batch(
            ids=tuple(listing.ids[position] for position in kept),
            images=_as_tensor([images[0] for images in decoded]),
            goal=self.goal,
            labels=rows(listing.labels),
            wanted=rows(self.wanted),
            references=None if len(ends) == 1 else _as_tensor([images[1] for images in decoded]),
        )
        return Loaded(batch, rejected)

    def images(self, positions: Sequence[int]) -> Tensor:
        """Return single images of the store, float32 (B, 3, H, W) in [0, 1].

        Positions are those of `verification_pairs`, which leaves out what cannot be decoded.

        Raises:
            BadInput: when an image cannot be decoded.
        """
        images: list[Pixels] = []
        for image in self.listing.store.read_all(positions):
            if isinstance(image, Undecodable):
                raise BadInput(Problem("data", str(image))) from image
            images.append(image)
        return _as_tensor(images)

    def verification_pairs(self) -> PairList:
        """Return the whole labelled list of pairs, for the threshold protocol.

        The ids, order and limit of the attacked examples don't matter. Image files are decoded once
        to find those that cannot be, and their pairs are left out.

        Raises:
            BadInput: when there are no pairs, or pairs of one kind only.
        """
        rows = self.listing.pairs
        if rows is None:
            raise BadInput(Problem("data.source", "has no labelled pairs to find a threshold on"))
        positions = np.unique(np.concatenate((rows.first, rows.second))).tolist()
        pairs = pair_list(rows, self.listing.store, self.undecodable(positions))
        if not pairs.same.any() or pairs.same.all():
            raise BadInput(
                Problem(
                    "data.pairs",
                    "a threshold needs pairs of one person and of different people, and the list "
                    "has one kind only: add the other, or give each model its `threshold`",
                )
            )
        return pairs

    def undecodable(self, positions: Sequence[int]) -> list[Rejected]:
        """Return which single images of the store cannot be decoded, each of which is tried."""
        store = self.listing.store
        if not store.may_fail:
            return []

        def reason(position: int) -> str | None:
            try:
                store.read(position)
            except Undecodable as error:
                return str(error)
            return None

        with ThreadPoolExecutor() as pool:
            reasons = list(pool.map(reason, positions))
        return [
            Rejected(store.names[position], why)
            for position, why in zip(positions, reasons, strict=True)
            if why is not None
        ]


def open_examples(spec: DataSource, goal: Goal, *, root: Path, seed: int) -> Examples:
    """List the examples that a job names, without decoding any.

    Args:
        spec: the job's ``data`` section.
        goal: what the attacker wants; classification goals need labelled images, the others pairs.
        root: folder that relative paths start from.
        seed: the run's seed, for random order, random wanted classes and galleries. All are keyed
            by example id and independent of each other; the first two also of what else is listed.

    Raises:
        BadInput: with everything that is wrong with the data, up to 20 problems.
    """
    found = Found()
    examples = _opened(spec, goal, root, seed, found)
    found.raise_if_any()
    assert examples is not None, "a source without problems has examples"
    return examples


def check(spec: DataSource, goal: Goal, root: Path, *, seed: int = 0) -> list[Problem]:
    """Return what is wrong with a job's data, before any work: up to 20 problems and a count.

    Places are fields (``data.pairs``) or lines of the files that they name (``pairs.csv:17``).
    Images are not decoded; `Examples.load` sets broken ones aside. The arguments are those of
    `open_examples`.
    """
    found = Found()
    _opened(spec, goal, root, seed, found)
    return found.in_order


def _opened(spec: DataSource, goal: Goal, root: Path, seed: int, found: Found) -> Examples | None:
    if goal.task is not spec.task:
        found.add(
            "data.source",
            f"{spec.source!r} holds examples for {spec.task.value}, goal {goal.value!r} needs "
            f"{goal.task.value}",
        )
        return None
    try:
        whole = spec.read(goal, root, found)
    except BadInput as error:
        for problem in error.problems:
            found.record(problem)
        return None
    except OSError as error:
        found.add("data", f"cannot be read: {error}")
        return None
    if whole is None or not len(whole):
        return None
    listing = select(whole, spec, root, seed, found)
    if not found:
        listing = spec.aimed(listing, whole, goal, seed, found)
    return Examples(goal, listing, _account(whole, found))


def _account(whole: Listing, found: Found) -> Account:
    """Return what there is to say of everything in a source."""
    notes, left_out = tuple(found.notes), tuple(found.left_out)
    if whole.labels is None:
        return Account(len(whole), notes=notes, left_out=left_out)
    return Account(
        held=len(whole),
        labels=(int(whole.labels.min()), int(whole.labels.max())),
        present=len(np.unique(whole.labels)),
        classes=whole.classes,
        notes=notes,
        left_out=left_out,
    )


def _as_tensor(images: Sequence[Pixels]) -> Tensor:
    """Return uint8 (H, W, 3) images as one tensor, float32 (B, 3, H, W) in [0, 1]."""
    stacked = torch.from_numpy(np.stack(images))
    return stacked.permute(0, 3, 1, 2).contiguous().float() / 255
