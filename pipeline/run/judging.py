"""What targets say of clean and adversarial images, as rows of the verdicts table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pipeline.attacks.recipe import Attack
from pipeline.batch import Batch, Goal, Task
from pipeline.evaluation.verdict import Judgement, accepted, clean_correct, judge
from pipeline.models.spec import ModelSpec
from pipeline.run.engine import Engine, Look
from pipeline.run.models import RANDOMISED_REPEATS
from pipeline.run.plan import Plan


@dataclass(frozen=True)
class CleanAnswers:
    """What each target says of a batch before any attack, by target name.

    Attributes:
        judgements: verdicts on the clean images.
        correct: whether the target is right about them, bool (B,); None where nobody can say.
        accepted: verification: whether the clean pair is accepted, bool (B,).
        references: verification: embeddings of the references, (repeats, B, D).
    """

    judgements: Mapping[str, Judgement]
    correct: Mapping[str, np.ndarray | None]
    accepted: Mapping[str, np.ndarray | None]
    references: Mapping[str, np.ndarray]


class Judges:
    """The plan's targets, with their thresholds, ready to judge batches."""

    def __init__(self, plan: Plan, engine: Engine, thresholds: Mapping[str, Any]) -> None:
        self._plan, self._engine = plan, engine
        self._thresholds = {name: entry["threshold"] for name, entry in thresholds.items()}
        self._targets = {spec.name: spec for spec in plan.targets}
        self._repeats = {
            name: self._repeats_of(spec, engine.cards[f"target/{name}"].randomised)
            for name, spec in self._targets.items()
        }

    @staticmethod
    def _repeats_of(spec: ModelSpec, randomised: bool) -> int:
        return spec.repeats or (RANDOMISED_REPEATS if randomised else 1)

    def threshold(self, name: str) -> float:
        """Return a model's cosine threshold; 0 for classifiers."""
        return float(self._thresholds.get(name, 0.0))

    def clean(self, batch: Batch, models: tuple[str, ...] | None = None) -> CleanAnswers:
        """Return what the targets (or the models named) say of the clean images."""
        names = models or tuple(self._targets)
        references: dict[str, np.ndarray] = {}
        if batch.references is not None:
            references = self._outputs(names, batch.references, batch.ids, "reference")
        outputs = self._outputs(names, batch.images, batch.ids, "clean")
        judgements, correct, accepts = {}, {}, {}
        for name in names:
            judgement = self._judge(name, outputs[name], references.get(name), batch)
            judgements[name] = judgement
            correct[name] = clean_correct(
                judgement, batch.goal, self.threshold(name), _labels(batch)
            )
            accepts[name] = (
                accepted(judgement, self.threshold(name))
                if batch.goal.task is Task.VERIFICATION
                else None
            )
        return CleanAnswers(judgements, correct, accepts, references)

    def verdicts(
        self, attack: Attack, batch: Batch, images: Tensor, clean: CleanAnswers, kept: Tensor
    ) -> dict[str, Any]:
        """Return columns of the verdicts table: target by target, the kept rows of the batch.

        Args:
            attack: what made the images.
            batch: the attacked examples.
            images: adversarial images, (B, 3, H, W).
            clean: answers of `clean` on the same batch.
            kept: rows to report, int64.
        """
        names = tuple(self._targets)
        chosen = batch.rows(kept)
        rows = kept.numpy()
        outputs = self._outputs(names, images[kept], chosen.ids, attack.label)
        columns: dict[str, list[Any]] = {}

        def add(name: str, values: Any) -> None:
            columns.setdefault(name, []).extend(
                values.tolist() if isinstance(values, np.ndarray) else [values] * len(rows)
            )

        for name in names:
            spec = self._targets[name]
            references = clean.references.get(name)
            judgement = self._judge(
                name, outputs[name], None if references is None else references[:, rows], chosen
            )
            before = clean.judgements[name]
            correct, accepts = clean.correct[name], clean.accepted[name]
            add("target", name)
            add("group", self.group(attack, spec))
            add("white_box", self.white_box(attack, spec))
            add("step", attack.steps)
            add("success", judgement.success)
            add("success_std", judgement.success_std)
            add("score", judgement.score)
            add("score_std", judgement.score_std)
            add("threshold", self.threshold(name))
            add("clean_score", before.score[rows])
            add("clean_success", before.success[rows])
            add("clean_correct", None if correct is None else correct[rows])
            add("clean_accepted", None if accepts is None else accepts[rows])
            add("prediction", judgement.prediction)
            add("repeats", self._repeats[name])
        return columns

    def white_box(self, attack: Attack, target: ModelSpec) -> bool:
        """Return whether a target is one of the attack's surrogates, weights and adapter alike."""
        cards = self._engine.cards
        names = attack.surrogates or tuple(spec.name for spec in self._plan.surrogates)
        own = cards[f"target/{target.name}"].fingerprint
        return any(cards[f"surrogate/{name}"].fingerprint == own for name in names)

    def group(self, attack: Attack, target: ModelSpec) -> str:
        """Return the group that a target is reported in, for one attack."""
        if target.group is not None:
            return target.group
        if self.white_box(attack, target):
            return "white-box"
        return "transform" if target.defence is not None else "normal"

    def _outputs(
        self, names: tuple[str, ...], images: Tensor, ids: tuple[str, ...], attack: str
    ) -> dict[str, np.ndarray]:
        look = Look(images, ids, attack, self._plan.seed, self._repeats)
        return self._engine.outputs(names, look)

    def _judge(
        self, name: str, outputs: np.ndarray, references: np.ndarray | None, batch: Batch
    ) -> Judgement:
        return judge(
            outputs,
            batch.goal,
            labels=_numpy(batch.wanted if batch.goal is Goal.TARGETED else batch.labels),
            references=references,
            threshold=self.threshold(name),
        )


def _numpy(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.numpy()


def _labels(batch: Batch) -> np.ndarray | None:
    return _numpy(batch.labels)
