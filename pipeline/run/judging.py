"""What targets say of clean and adversarial images, as rows of the verdicts table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.evaluation.distances import l2_distance, linf_distance
from gauntlet.pipeline.evaluation.verdict import Judgement, accepted, clean_correct
from gauntlet.pipeline.models.spec import ModelSpec
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run.columns import Columns
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.failed import Failed
from gauntlet.pipeline.run.look import Look
from gauntlet.pipeline.run.models import RANDOMISED_REPEATS
from gauntlet.pipeline.run.panel import Panel
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.steps import StepAnswers


@dataclass(frozen=True)
class CleanAnswers:
    """What each target says of a batch before any attack, by target name.

    Attributes:
        judgements: verdicts on the clean images; NaN scores where outputs are not finite, those on
            the references included.
        correct: whether the target is right about them, bool (B,); None where nobody can say.
            Means nothing where outputs are not finite.
        accepted: verification: whether the clean pair is accepted, bool (B,).
        references: verification: embeddings of the references, (repeats, B, D).
    """

    judgements: Mapping[str, Judgement]
    correct: Mapping[str, np.ndarray | None]
    accepted: Mapping[str, np.ndarray | None]
    references: Mapping[str, np.ndarray]

    def unsound(self, name: str) -> np.ndarray:
        """Return the rows where the outputs of a model are not finite, int (R,)."""
        return np.flatnonzero(~np.isfinite(self.judgements[name].score))


class Judges:
    """The plan's targets, with their thresholds, ready to judge batches."""

    def __init__(
        self, plan: Plan, engine: Engine, thresholds: Mapping[str, ThresholdRecord]
    ) -> None:
        self._plan, self._engine = plan, engine
        self._thresholds = {name: found.threshold for name, found in thresholds.items()}
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
        unsound: dict[str, np.ndarray] = {}
        if batch.goal.task is Task.VERIFICATION:
            assert batch.references is not None
            references = self._outputs(names, batch.references, batch.ids, "reference")
            for name, embedded in references.items():
                bad = ~np.isfinite(embedded).all(axis=(0, 2))
                if bad.any():
                    unsound[name] = bad
                    references[name] = np.where(bad[None, :, None], 0.0, embedded)
        panel = self.panel(batch, "clean", references, names)
        judgements = panel.judge(self._engine.outputs(names, panel.look(batch.images)))
        correct, accepts = {}, {}
        for name, bad in unsound.items():
            found = judgements[name]
            judgements[name] = replace(found, score=np.where(bad, np.nan, found.score))
        for name, judgement in judgements.items():
            correct[name] = clean_correct(
                judgement, batch.goal, self.threshold(name), _numpy(batch.labels)
            )
            accepts[name] = (
                accepted(judgement, self.threshold(name))
                if batch.goal.task is Task.VERIFICATION
                else None
            )
        return CleanAnswers(judgements, correct, accepts, references)

    def panel(
        self,
        batch: Batch,
        attack: str,
        references: Mapping[str, np.ndarray],
        names: tuple[str, ...] | None = None,
    ) -> Panel:
        """Return the targets (or the models named) as judges of a batch.

        Args:
            batch: the examples.
            attack: label of what makes their images.
            references: verification: embeddings of the references by name, (repeats, B, D).
            names: models to ask.
        """
        names = names or tuple(self._targets)
        return Panel(
            goal=batch.goal,
            ids=batch.ids,
            attack=attack,
            seed=self._plan.seed,
            repeats={name: self._repeats.get(name, 1) for name in names},
            thresholds={name: self.threshold(name) for name in names},
            labels=_numpy(batch.wanted if batch.goal is Goal.TARGETED else batch.labels),
            references=references,
        )

    def last(
        self, attack: Attack, batch: Batch, images: Tensor, clean: CleanAnswers, kept: np.ndarray
    ) -> StepAnswers:
        """Return what the targets say of the results of an attack.

        Args:
            attack: what made the images.
            batch: the attacked examples.
            images: adversarial images, (B, 3, H, W).
            clean: answers of `clean` on the same batch.
            kept: K rows to judge.

        Returns:
            Answers on those K rows.
        """
        rows = torch.from_numpy(kept)
        panel = self.panel(batch, attack.label, clean.references).rows(kept)
        look = panel.look(images[rows], self._plan.evaluate.quantize)
        return StepAnswers(
            step=attack.steps,
            linf=linf_distance(images[rows], batch.images[rows]),
            l2=l2_distance(images[rows], batch.images[rows]),
            judgements=panel.judge(self._engine.outputs(panel.targets, look)),
        )

    def verdicts(
        self,
        attack: Attack,
        identity: Mapping[str, Any],
        answers: Sequence[StepAnswers],
        clean: CleanAnswers,
        kept: np.ndarray,
        failed: Failed,
    ) -> dict[str, Any]:
        """Return the columns of the verdicts table: step by step, target by target, K rows each.

        Where a target's output is not finite, at one step or before the attack, the example has no
        row of that target at any step (so that all points of a curve are about the same examples)
        and goes to the failures.

        Args:
            attack: what was judged.
            identity: columns that say which attack on which K examples the rows are about.
            answers: of each judged step, on those K examples.
            clean: answers of `clean` on the whole batch.
            kept: the K rows of the batch.
            failed: collects the failures.

        Returns:
            The columns; none when no target has finite outputs.
        """
        good = {
            name: _sound(name, identity["example"], answers, clean, kept, failed)
            for name in self._targets
        }
        columns = Columns()
        for step in answers:
            for name, said in step.judgements.items():
                rows = good[name]
                if not len(rows):
                    continue
                judgement, before = said.rows(rows), clean.judgements[name].rows(kept[rows])
                spec = self._targets[name]
                correct, accepts = clean.correct[name], clean.accepted[name]
                columns.add(
                    len(rows),
                    **{**identity, "example": [identity["example"][row] for row in rows]},
                    target=name,
                    group=self.group(attack, spec),
                    white_box=self.white_box(attack, spec),
                    step=step.step,
                    success=judgement.success,
                    success_std=judgement.success_std,
                    score=judgement.score,
                    score_std=judgement.score_std,
                    threshold=self.threshold(name),
                    clean_score=before.score,
                    clean_success=before.success,
                    clean_correct=None if correct is None else correct[kept[rows]],
                    clean_accepted=None if accepts is None else accepts[kept[rows]],
                    prediction=judgement.prediction,
                    repeats=self._repeats[name],
                    linf=step.linf[rows],
                    l2=step.l2[rows],
                )
        return columns.joined()

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
        if target.defence is not None:
            return "transform"
        card = self._engine.cards[f"target/{target.name}"]
        return "adversarial" if card.adversarial else "normal"

    def _outputs(
        self, names: tuple[str, ...], images: Tensor, ids: tuple[str, ...], attack: str
    ) -> dict[str, np.ndarray]:
        look = Look(images, ids, attack, self._plan.seed, self._repeats)
        return self._engine.outputs(names, look)


def _sound(
    name: str,
    ids: Sequence[str],
    answers: Sequence[StepAnswers],
    clean: CleanAnswers,
    kept: np.ndarray,
    failed: Failed,
) -> np.ndarray:
    """Return which of K examples a target has finite outputs on throughout, int (R,)."""
    looks = [("the clean image", clean.judgements[name].rows(kept))]
    looks += [(f"the image after update {step.step}", step.judgements[name]) for step in answers]
    sound = np.ones(len(ids), bool)
    for what, judgement in looks:
        finite = np.isfinite(judgement.score)
        for row in np.flatnonzero(sound & ~finite).tolist():
            failed.add(ids[row], "evaluate", not_finite("target", name, what))
        sound &= finite
    return np.flatnonzero(sound)


def not_finite(role: str, name: str, what: str) -> str:
    """Return why an example is left out whose outputs on some image are not finite."""
    return f"{role} {name!r}: outputs on {what} are not finite"


def _numpy(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.numpy()
