"""FD: the feature distribution attack (specification 2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from gauntlet.pipeline.attacks.objectives.features import FeatureObjective, distance
from gauntlet.pipeline.attacks.part import Choice, register
from gauntlet.pipeline.attacks.surrogate import Forward, Known, Surrogate
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.heads import (
    LEAST_AUC,
    TRAIN,
    Heads,
    HeadSettings,
    default_folder,
    head_path,
    heads_key,
    image_hashes,
    read_head,
)
from gauntlet.pipeline.norms import divide, l2
from gauntlet.pipeline.problems import BadInput, Problem

_CPU = torch.device("cpu")


@register
class FeatureDistribution(FeatureObjective):
    """J = log sigmoid(h_t(f(x))) + eta |f(x) - f(x_0)|_2 / |f(x_0)|_2, targeted.

    h_t is a small network that tells the wanted class t from all others by the layer's activation.
    ``gauntlet heads train JOB`` trains those that a job needs, on images that it does not attack.
    The heads are found by the surrogate's fingerprint, the layer and ``training``. The paper's base
    is ``mi`` with mu = 1. Faces have one image a person: use ``aa``.
    """

    token = "fd"
    paper = "Inkawhich 2020"
    random = False
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.CLASSIFICATION})
    needs = "targeted; heads trained by gauntlet heads"
    heads: str | None = None
    """Folder of the heads, from here if relative; by default `heads` in the user's cache of
    Gauntlet. All machines of a cluster must see it."""
    eta: float = Field(0.0, ge=0)
    """Weight of the distance from the clean features; 1e-6 in the paper's variant."""
    training: HeadSettings = HeadSettings()
    """How the heads are made: others are other heads."""

    @field_validator("heads")
    @classmethod
    def _absolute(cls, heads: str | None) -> str | None:
        # Workers elsewhere do not start in the folder that the job was started in.
        return None if heads is None else str(expanded(heads).absolute())

    @property
    def folder(self) -> Path:
        """Where the heads are."""
        return default_folder() if self.heads is None else Path(self.heads)

    @property
    def trained_heads(self) -> Heads:
        """The heads of all classes."""
        return Heads(self.folder, self.layer, self.training)

    def objection(self, choice: Choice, goal: Goal | None) -> str | None:
        """Refuse goals without a wanted class."""
        if goal in (None, Goal.TARGETED):
            return None
        return f"'fd' moves towards a wanted class: it does not exist for {goal}"

    def prepare(self, model: Surrogate, batch: Batch, draws: Draws) -> Known:
        """Return ``classes`` and the ``heads``' key, int64 (B,), and ``clean`` features (B, F).

        Raises:
            BadInput: when a class has no head or a bad one, or an image has trained its head.
        """
        assert batch.wanted is not None
        key = heads_key(model.fingerprint, self.layer, self.training)
        # On the CPU: they choose files, and a GPU would have to be waited for in every step.
        classes = batch.wanted.cpu()
        self._check(model.name, key, batch, classes)
        known = {"classes": classes, "heads": torch.full_like(classes, key)}
        if self.eta > 0:
            with torch.no_grad():
                known["clean"] = model.features(batch.images, self.layer)
        return known

    def terms(self, points: Tensor, known: Known, goal: Goal, forward: Forward) -> Iterator[Tensor]:
        """Yield J of each row, (R,)."""
        features = forward.features(points, self.layer)
        value = F.logsigmoid(self._logits(features, known["classes"], int(known["heads"][0])))
        if self.eta > 0:
            clean = known["clean"]
            value = value + self.eta * divide(distance(features, clean), l2(clean))
        yield value

    def _logits(self, features: Tensor, classes: Tensor, key: int) -> Tensor:
        order, parts = [], []
        for label in sorted(set(classes.tolist())):
            rows = (classes == label).nonzero()[:, 0]
            path = head_path(self.folder, key, label)
            head = read_head(path, features.device, features.dtype)
            parts.append(head(features[rows.to(features.device)]))
            order.append(rows)
        return torch.cat(parts)[torch.cat(order).argsort().to(features.device)]

    def _check(self, name: str, key: int, batch: Batch, classes: Tensor) -> None:
        problems = []
        hashes = image_hashes(batch.images)
        for label in sorted(set(classes.tolist())):
            path = head_path(self.folder, key, label)
            where = f"head of class {label} for {name!r}"
            if not path.is_file():
                problems.append(Problem(where, f"{path} does not exist; {TRAIN}"))
                continue
            head = read_head(path, _CPU, torch.float32)
            if head.auc < LEAST_AUC:
                what = f"its AUC is {head.auc:.3f}, at least {LEAST_AUC} is needed; train it longer"
                problems.append(Problem(where, f"{what}, on more images, or on another layer"))
            known = torch.isin(hashes, head.trained_on) & (classes == label)
            if bool(known.any()):
                row = int(known.nonzero()[0])
                problems.append(
                    Problem(where, f"it was trained on {batch.ids[row]!r}, which is attacked")
                )
        if problems:
            raise BadInput(problems)
