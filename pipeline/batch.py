"""A batch of examples, as every layer passes it on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from gauntlet.pipeline.problems import suggest


class Named(StrEnum):
    """A choice that people write as a word."""

    @classmethod
    def named(cls, word: str) -> Self:
        """Return the choice of that name.

        Raises:
            ValueError: when there is none; it names all.
        """
        known = [choice.value for choice in cls]
        if word not in known:
            raise ValueError(suggest(str(word), known, cls.__name__.lower()))
        return cls(word)


class Task(Named):
    """What the attacked models do."""

    CLASSIFICATION = "classification"
    VERIFICATION = "verification"
    EMBEDDING = "embedding"

    @property
    def embeds(self) -> bool:
        """Whether its models give embeddings, which are compared; else they give logits."""
        return self is not Task.CLASSIFICATION


class Goal(Named):
    """What the attacker wants (specification 0.2)."""

    UNTARGETED = "untargeted"
    TARGETED = "targeted"
    IMPERSONATION = "impersonation"
    DODGING = "dodging"

    @property
    def task(self) -> Task:
        """The task that this goal belongs to; verification for embedding match, too.

        Both compare embeddings of pairs, and differ in what success is alone: whoever attacks,
        reads data or holds models need not tell them apart.
        """
        if self in (Goal.UNTARGETED, Goal.TARGETED):
            return Task.CLASSIFICATION
        return Task.VERIFICATION


@dataclass(frozen=True)
class Batch:
    """B examples with what their goal needs.

    Attributes:
        ids: B stable names; they key every random draw and every result row.
        images: clean images, (B, 3, H, W), floating point in [0, 1].
        goal: what the attacker wants from each of them.
        labels: true classes, int64 (B,); classification only.
        wanted: classes wanted by a targeted attack, int64 (B,).
        references: second image of each pair, (B, 3, H, W) in [0, 1]: the person to impersonate,
            or the person that the example must no longer match (dodging). A targeted
            classification may have them, too: images of the wanted class.
        guide: result of an earlier attack on the same examples, (B, 3, H, W) in [0, 1].
    """

    ids: tuple[str, ...]
    images: Tensor
    goal: Goal
    labels: Tensor | None = None
    wanted: Tensor | None = None
    references: Tensor | None = None
    guide: Tensor | None = None

    def __post_init__(self) -> None:
        size = len(self.ids)
        if not isinstance(self.images, Tensor):
            found = type(self.images).__name__
            raise TypeError(f"images must be a tensor ({size}, 3, H, W), got {found}")
        if self.images.ndim != 4 or self.images.shape[:2] != (size, 3):
            raise ValueError(
                f"images must have shape ({size}, 3, H, W), got {tuple(self.images.shape)}"
            )
        if not self.images.is_floating_point():
            raise ValueError(f"images must be floating point in [0, 1], got {self.images.dtype}")
        if len(set(self.ids)) != size:
            raise ValueError("example ids must be unique within a batch")
        need = {
            Goal.UNTARGETED: "labels",
            Goal.TARGETED: "wanted",
            Goal.IMPERSONATION: "references",
            Goal.DODGING: "references",
        }[self.goal]
        given = getattr(self, need)
        if given is None:
            raise ValueError(f"goal {self.goal.value!r} needs {need}")
        if len(given) != size:
            raise ValueError(f"{need} has {len(given)} rows for {size} examples")
        for field in ("labels", "wanted"):
            classes = getattr(self, field)
            if classes is None:
                continue
            kind = classes.dtype if isinstance(classes, Tensor) else type(classes).__name__
            if kind != torch.int64 or classes.ndim != 1:
                raise TypeError(f"{field} must be an int64 tensor ({size},), got {kind}")
        if self.references is not None and (
            not isinstance(self.references, Tensor)
            or self.references.ndim != 4
            or self.references.shape[1] != 3
            or not self.references.is_floating_point()
        ):
            raise TypeError(f"references must be floating point images ({size}, 3, H, W)")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def own_reference(self) -> Tensor | None:
        """Which images are their own reference to the last bit, bool (B,); None without any."""
        if self.references is None or self.references.shape != self.images.shape:
            return None
        return (self.references == self.images).flatten(1).all(1)

    @cached_property
    def _class_range(self) -> tuple[int, int]:
        """The least and the greatest class that is named; looked at once, not at every pass."""
        given = [values for values in (self.labels, self.wanted) if values is not None]
        least, greatest = torch.cat(given).aminmax()
        return int(least), int(greatest)

    def check_classes(self, classes: int, model: str) -> None:
        """Refuse classes that a model does not have, which would end a process that uses a GPU.

        Args:
            classes: number of the model's outputs.
            model: its name.

        Raises:
            ValueError: when an example's true or wanted class is outside 0..classes - 1, or when
                there is one output only: no attack can make another class win.
        """
        if self.goal.task is not Task.CLASSIFICATION:
            return
        if classes < 2:
            raise ValueError(
                f"model {model!r} has {classes} output, and a classifier has one a class: make two "
                "logits of a binary one's z (before its sigmoid), "
                "torch.cat([torch.zeros_like(z), z], 1)"
            )
        least, greatest = self._class_range
        if least >= 0 and greatest < classes:
            return
        for values in (self.labels, self.wanted):
            if values is not None:
                bad = ((values < 0) | (values >= classes)).nonzero()[:, 0].tolist()
                for row in bad[:1]:
                    raise ValueError(
                        f"example {self.ids[row]!r} has class {int(values[row])}; model {model!r} "
                        f"has {classes}, from 0"
                    )

    def rows(self, index: Tensor) -> Batch:
        """Return the examples in ``index`` (int64 positions)."""
        index = index.cpu()

        def pick(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[index.to(values.device)]

        return replace(
            self,
            ids=tuple(self.ids[i] for i in index.tolist()),
            images=self.images[index.to(self.images.device)],
            labels=pick(self.labels),
            wanted=pick(self.wanted),
            references=pick(self.references),
            guide=pick(self.guide),
        )

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Batch:
        """Return the batch with its tensors on ``device`` and its images in ``dtype``."""

        def move(values: Tensor | None, images: bool = False) -> Tensor | None:
            return None if values is None else values.to(device, dtype if images else None)

        return replace(
            self,
            images=self.images.to(device, dtype),
            labels=move(self.labels),
            wanted=move(self.wanted),
            references=move(self.references, images=True),
            guide=move(self.guide, images=True),
        )
