"""What success is on one batch, for all targets, wherever their outputs come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.evaluation.verdict import Judgement, judge
from gauntlet.pipeline.run.showing import Showing, levels


@dataclass(frozen=True)
class Criterion:
    """What it takes to turn outputs on a batch's images into verdicts.

    Plain values and arrays only: a criterion travels to the process that runs the attack.

    Attributes:
        goal: what the attacker wants.
        ids: B example ids.
        attack: label of the attack; ``clean`` for images that none made.
        seed: the run's seed.
        repeats: evaluations by each target, by name, in the order of the job.
        thresholds: cosine thresholds by name; absent for classifiers.
        further: cosine thresholds by further rules, by name of the target and of the rule.
        labels: true (untargeted) or wanted (targeted) classes, int (B,).
        references: embeddings of the references by name, (repeats, B, D).
        gallery: what decides on success in place of the thresholds, if there is one.
    """

    goal: Goal
    ids: tuple[str, ...]
    attack: str
    seed: int
    repeats: Mapping[str, int]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    labels: np.ndarray | None = None
    references: Mapping[str, np.ndarray] = field(default_factory=dict)
    further: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gallery: Gallery | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return tuple(self.repeats)

    def showing(self, images: Tensor, quantized: bool = False) -> Showing:
        """Return what the targets are shown.

        A randomised target draws the same numbers at every step of an attack, so that a curve over
        the steps shows the attack and not the draws.

        Args:
            images: (B, 3, H, W) in [0, 1].
            quantized: whether they lie on the 8-bit grid.
        """
        shown = levels(images) if quantized else images
        return Showing(shown, self.ids, self.attack, self.seed, self.repeats)

    def judge(self, outputs: Mapping[str, np.ndarray]) -> dict[str, Judgement]:
        """Judge every target's outputs, (repeats, B, C) by name.

        The score of an example whose outputs are not finite is NaN; whoever reports the example
        must refuse it.
        """
        return {name: self._judge(name, outputs[name]) for name in self.targets}

    def rows(self, rows: np.ndarray) -> Criterion:
        """Return the criterion for some of the examples, int (R,)."""
        return replace(
            self,
            ids=tuple(self.ids[row] for row in rows),
            labels=None if self.labels is None else self.labels[rows],
            references={name: found[:, rows] for name, found in self.references.items()},
        )

    def _judge(self, name: str, outputs: np.ndarray) -> Judgement:
        sound = np.isfinite(outputs).all(axis=(0, 2))
        outputs = np.where(sound[None, :, None], outputs, 0.0)
        if self.gallery is None:
            found = judge(
                outputs,
                self.goal,
                labels=self.labels,
                references=self.references.get(name),
                threshold=self.thresholds.get(name, 0.0),
                further=self.further.get(name),
            )
        else:
            references = self.references[name]
            stand = self.gallery.standing(name, self.ids, outputs, references, self.goal)
            found = judge(outputs, self.goal, references=references, threshold=stand.threshold)
            found = replace(found, threshold=stand.threshold.mean(0), rank=stand.rank.mean(0))
        return found if sound.all() else replace(found, score=np.where(sound, found.score, np.nan))
