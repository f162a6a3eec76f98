"""What targets say of clean and adversarial images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.evaluation.distances import l2_distance, linf_distance
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.evaluation.verdict import Judgement, accepted, clean_correct
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run.bench import Bench
from gauntlet.pipeline.run.criterion import Criterion
from gauntlet.pipeline.run.engine import Models
from gauntlet.pipeline.run.plan_models import RANDOMISED_REPEATS
from gauntlet.pipeline.run.showing import Showing
from gauntlet.pipeline.run.steps import StepVerdicts


@dataclass(frozen=True)
class CleanVerdicts:
    """What each target says of a batch before any attack, by target name.

    Attributes:
        judgements: verdicts on the clean images; NaN scores where outputs are not finite, those on
            the references included.
        correct: whether the target is right about them, bool (B,); None where nobody can say.
            Means nothing where outputs are not finite.
        accepted: verification: whether the clean pair is accepted, bool (B,).
        references: embeddings of the references, (repeats, B, D); none for classifiers.
    """

    judgements: Mapping[str, Judgement]
    correct: Mapping[str, np.ndarray | None]
    accepted: Mapping[str, np.ndarray | None]
    references: Mapping[str, np.ndarray]

    def unsound(self, name: str) -> np.ndarray:
        """Return the rows where the outputs of a model are not finite, int (R,)."""
        return np.flatnonzero(~np.isfinite(self.judgements[name].score))


class Evaluator:
    """The bench's targets, with their thresholds or a gallery, ready to judge batches."""

    def __init__(
        self,
        bench: Bench,
        models: Models,
        thresholds: Mapping[str, ThresholdRecord],
        gallery: Gallery | None = None,
    ) -> None:
        self._bench, self._models, self._gallery = bench, models, gallery
        self._thresholds = thresholds
        self._specs = {spec.name: spec for spec in bench.targets}
        self._repeats = {name: self._repeats_of(spec) for name, spec in self._specs.items()}

    def _repeats_of(self, spec: ModelSpec) -> int:
        randomised = self._models.cards[f"target/{spec.name}"].randomised
        return spec.repeats or (RANDOMISED_REPEATS if randomised else 1)

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return tuple(self._specs)

    def repeats(self, name: str) -> int:
        """Return how often a target evaluates an image; 1 for a model that is none."""
        return self._repeats.get(name, 1)

    def threshold(self, name: str) -> float:
        """Return a model's cosine threshold; 0 for classifiers."""
        return self._thresholds[name].threshold if name in self._thresholds else 0.0

    def rule(self, name: str) -> str | None:
        """Return the name of the rule that a model's threshold is by; None for classifiers."""
        return self._thresholds[name].rule if name in self._thresholds else None

    def further(self, name: str) -> dict[str, float]:
        """Return a model's cosine thresholds by further rules, by their names."""
        if name not in self._thresholds:
            return {}
        return {rule: one.threshold for rule, one in self._thresholds[name].further.items()}

    def clean(self, batch: Batch, models: tuple[str, ...] | None = None) -> CleanVerdicts:
        """Return what the targets (or the models named) say of the clean images."""
        names = models or self.targets
        references: dict[str, np.ndarray] = {}
        unsound: dict[str, np.ndarray] = {}
        if batch.goal.task is Task.VERIFICATION:
            assert batch.references is not None
            seed, repeats = self._bench.seed, self._repeats
            showing = Showing(batch.references, batch.ids, "reference", seed, repeats)
            references = self._models.ask(names, showing)
            for name, embedded in references.items():
                bad = ~np.isfinite(embedded).all(axis=(0, 2))
                if bad.any():
                    unsound[name] = bad
                    references[name] = np.where(bad[None, :, None], 0.0, embedded)
        criterion = self.criterion(batch, "clean", references, names)
        judgements = criterion.judge(self._models.ask(names, criterion.showing(batch.images)))
        correct, accepts = {}, {}
        for name, bad in unsound.items():
            found = judgements[name]
            judgements[name] = replace(found, score=np.where(bad, np.nan, found.score))
        for name, judgement in judgements.items():
            bar = self.threshold(name) if judgement.threshold is None else judgement.threshold
            correct[name] = clean_correct(judgement, batch.goal, bar, _numpy(batch.labels))
            accepts[name] = (
                accepted(judgement, bar) if self._bench.task.kind is Task.VERIFICATION else None
            )
        return CleanVerdicts(judgements, correct, accepts, references)

    def criterion(
        self,
        batch: Batch,
        attack: str,
        references: Mapping[str, np.ndarray],
        names: tuple[str, ...] | None = None,
        seed: int | None = None,
    ) -> Criterion:
        """Return what success on a batch is for the targets (or the models named).

        Args:
            batch: the examples.
            attack: label of what makes their images.
            references: embeddings of the references by name, (repeats, B, D).
            names: models to ask.
            seed: keys the draws of randomised targets; the bench's own by default.
        """
        names = names or self.targets
        return Criterion(
            goal=batch.goal,
            ids=batch.ids,
            attack=attack,
            seed=self._bench.seed if seed is None else seed,
            repeats={name: self.repeats(name) for name in names},
            thresholds={name: self.threshold(name) for name in names},
            further={name: self.further(name) for name in names},
            labels=_numpy(batch.wanted if batch.goal is Goal.TARGETED else batch.labels),
            references=references,
            gallery=self._gallery,
        )

    def last(
        self, attack: Attack, batch: Batch, images: Tensor, clean: CleanVerdicts, kept: np.ndarray
    ) -> StepVerdicts:
        """Return what the targets say of the results of an attack.

        Args:
            attack: what made the images.
            batch: the attacked examples.
            images: adversarial images, (B, 3, H, W).
            clean: verdicts of `clean` on the same batch.
            kept: K rows to judge.

        Returns:
            Verdicts on those K rows.
        """
        rows = torch.from_numpy(kept)
        seed = self._bench.seed_of(attack)
        criterion = self.criterion(batch, attack.label, clean.references, seed=seed).rows(kept)
        showing = criterion.showing(images[rows], self._bench.evaluate.quantize)
        return StepVerdicts(
            step=attack.steps,
            linf=linf_distance(images[rows], batch.images[rows]),
            l2=l2_distance(images[rows], batch.images[rows]),
            judgements=criterion.judge(self._models.ask(criterion.targets, showing)),
        )

    def white_box(self, attack: Attack, target: str) -> bool:
        """Return whether a target is one of the attack's surrogates, weights and adapter alike."""
        cards = self._models.cards
        own = cards[f"target/{target}"].fingerprint
        names = self._bench.surrogates_of(attack)
        return any(cards[f"surrogate/{name}"].fingerprint == own for name in names)

    def group(self, attack: Attack, target: str) -> str:
        """Return the group that a target is reported in, for one attack."""
        spec = self._specs[target]
        if spec.group is not None:
            return spec.group
        if self.white_box(attack, target):
            return "white-box"
        if spec.defence is not None:
            return "transform"
        return "adversarial" if self._models.cards[f"target/{target}"].adversarial else "normal"


def not_finite(role: str, name: str, what: str) -> str:
    """Return why an example is left out whose outputs on some image are not finite."""
    return f"{role} {name!r}: outputs on {what} are not finite"


def _numpy(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.numpy()
