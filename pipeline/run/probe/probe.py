"""A look at every model before the first attack: is it right about clean examples, and if not, why?

A fault of the input or of the labels leaves a run that ends normally, with figures that look
plausible and mean nothing. So 64 examples are shown to all models first. Where one is hardly right
about any, the usual mistakes are put right one at a time, on the same images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.listing import Flags
from gauntlet.pipeline.evaluation.clean_accuracy import CleanAccuracy, better
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.results.manifest import ModelCard, ThresholdRecord
from gauntlet.pipeline.run.engine import Engine
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.classes import class_problems
from gauntlet.pipeline.run.probe.clean_sets import CleanSet, LabelledSet, PairSet, cause_of
from gauntlet.pipeline.run.probe.findings import Fit, ModelFinding, Probe, Refused
from gauntlet.pipeline.run.probe.inputs import AS_GIVEN, INPUTS
from gauntlet.pipeline.run.probe.seeing import SampleRequest

SAMPLE = 64
"""Examples that every model is shown."""
MOST = 256
"""Examples that decide where the first ones leave open whether another reading is better."""
CLEAR, CLEAR_IF_SUSPICIOUS = 0.01, 0.05
"""McNemar's p below which another reading is better: many are tried, but few would be by chance."""
PROMISING = 3
"""Examples that another reading must gain, of the first ones, for more to be asked."""
LITTLE = 5
"""An explanation gets half of the examples right, or so many times what is right without it."""
TIED = 0.05
"""Shares of right answers that differ by no more explain a model's answers equally well."""
FAIR = 0.95
"""A model that is right about this share is read as it should be."""


def probe(
    plan: Plan,
    examples: Examples,
    engine: Engine,
    thresholds: Mapping[str, ThresholdRecord],
) -> Probe:
    """Show clean examples to every model of a run, by the workers that hold them.

    Args:
        plan: what is to be run.
        examples: all of its examples.
        engine: holds the models.
        thresholds: what is known of verification models; those whose accuracy is among it are
            asked again only where it is low.

    Raises:
        Refused: when examples have classes that a model lacks: no attack on them could be judged.
    """
    look = _Look(plan, examples, engine, thresholds)
    findings = look.findings()
    if plan.task.kind is Task.CLASSIFICATION:
        why = {found.name: f"{found.fits[0]}" for found in findings if found.fits}
        if problems := class_problems(examples, look.classes, plan.data, why):
            raise Refused(problems)
    poor = any(found.accuracy is not None and found.accuracy.poor for found in findings)
    remarks = _one_label(examples, look.seen_classes) if poor else ()
    return Probe(findings, look.unreadable, remarks)


@dataclass(frozen=True)
class _Read:
    """One reading of input and data: what has to be written, and who is right, bool (n,)."""

    input: str
    data: str
    written: str
    right: Flags

    def explained(self, data: DataSpec) -> tuple[str, str]:
        """Return what is wrong if it is the right one, and what to do."""
        found = []
        if self.input != AS_GIVEN:
            todo = f"write `{self.written}` in the model's entry"
            found.append((INPUTS[self.input].cause, todo))
        if self.data != AS_GIVEN:
            found.append(cause_of(self.data, data))
        causes, advice = zip(*found, strict=True)
        return " and ".join(causes), ", and ".join(advice)


_Reads = dict[tuple[str, str], _Read]


class _Look:
    """The models of a plan, and what they were seen to say."""

    def __init__(
        self,
        plan: Plan,
        examples: Examples,
        engine: Engine,
        thresholds: Mapping[str, ThresholdRecord],
    ) -> None:
        self._plan, self._examples = plan, examples
        self._engine, self._thresholds = engine, thresholds
        self._reads: dict[str, _Reads] = {}
        self._errors: dict[str, str] = {}
        self.classes: dict[str, int] = {}
        self.seen_classes = 0
        self.unreadable: tuple[str, ...] = ()

    @cached_property
    def _all(self) -> CleanSet | None:
        """The most that a model is asked; not drawn before one is."""
        if self._plan.task.kind is Task.CLASSIFICATION:
            return LabelledSet.drawn(self._examples, self._plan.seed, MOST)
        if self._plan.task.kind is Task.EMBEDDING:
            return None  # nobody says which of its images a model should take for the same
        return PairSet.drawn(self._examples, self._plan.seed, MOST)

    @cached_property
    def _first(self) -> CleanSet | None:
        return None if self._all is None else self._all.rows(slice(SAMPLE))

    def findings(self) -> tuple[ModelFinding, ...]:
        """Ask everybody, then those more who are not right as often as they might be."""
        specs = {spec.name: spec for spec in (*self._plan.targets, *self._plan.surrogates)}
        # The same model in two roles, or under two names, is asked once.
        keys = {name: self._identity(spec) for name, spec in specs.items()}
        asked = list({key: name for name, key in reversed(keys.items())}.values())[::-1]
        self._ask([name for name in asked if self._known(name) is None], (AS_GIVEN,))
        accuracies = {name: self._accuracy(name) for name in asked}
        poor = [name for name, found in accuracies.items() if found is not None and found.poor]
        self._ask([name for name in poor if name not in self._reads], (AS_GIVEN,))
        self._ask(poor, tuple(INPUTS))
        if self._plan.task.kind is Task.CLASSIFICATION:
            # The one mistake that costs a good network so little that nobody would notice.
            unsure = [n for n, a in accuracies.items() if a is not None and a.rate < FAIR]
            self._ask([name for name in unsure if name not in poor], ("channels",))
        fits = {name: self._fits(name, accuracies[name]) for name in asked}
        by_key = {keys[name]: name for name in asked}
        found = []
        for name, spec in specs.items():
            same = by_key[keys[name]]
            if same in self.classes:
                self.classes[name] = self.classes[same]
            found.append(
                ModelFinding(
                    name,
                    accuracies[same],
                    self._errors.get(same),
                    fits[same],
                    self._excuse(spec),
                )
            )
        return tuple(found)

    def _identity(self, spec: ModelSpec) -> tuple[str, float | None]:
        return self._card(spec.name).fingerprint, spec.threshold

    def _card(self, name: str) -> ModelCard:
        cards = self._engine.cards
        return cards.get(f"target/{name}") or cards[f"surrogate/{name}"]

    def _excuse(self, spec: ModelSpec) -> str | None:
        if spec.defence is not None:
            return f"behind {spec.defence.kind}"
        return "adversarially trained" if self._card(spec.name).adversarial else None

    def _known(self, name: str) -> CleanAccuracy | None:
        """Return the accuracy that the search for thresholds gave."""
        found = self._thresholds.get(name)
        if found is None or found.accuracy_at_threshold is None or found.pairs is None:
            return None
        return CleanAccuracy(round(found.accuracy_at_threshold * found.pairs), found.pairs, None)

    def _accuracy(self, name: str) -> CleanAccuracy | None:
        if (known := self._known(name)) is not None:
            return known
        read = self._reads.get(name, {}).get((AS_GIVEN, AS_GIVEN))
        return None if read is None else self._counted(name, read.right)

    def _counted(self, name: str, right: Flags) -> CleanAccuracy:
        return CleanAccuracy(int(right.sum()), len(right), self.classes.get(name))

    # -- asking --------------------------------------------------------------------------------

    def _ask(self, names: Sequence[str], readings: tuple[str, ...]) -> None:
        if names and self._first is not None:
            for name, reads in self._answers(names, readings, self._first).items():
                self._reads.setdefault(name, {}).update(reads)

    def _answers(
        self, names: Sequence[str], readings: tuple[str, ...], clean: CleanSet
    ) -> dict[str, _Reads]:
        """Return who is right under the readings of the input, each with all of the data."""
        found = self._engine.ask(names, SampleRequest(clean.sample, readings))
        specs = {spec.name: spec for spec in (*self._plan.surrogates, *self._plan.targets)}
        answers: dict[str, _Reads] = {}
        for name, seen in found.items():
            self.unreadable = seen.reasons
            rows = np.asarray(seen.rows, np.int64)
            if seen.error is not None:
                self._errors[name] = seen.error
            reads: _Reads = {}
            for reading, outputs in seen.outputs.items():
                if self._plan.task.kind is Task.CLASSIFICATION:
                    self.classes[name] = outputs.shape[1]
                    if reading == AS_GIVEN:
                        kinds = len(np.unique(outputs.argmax(1)))
                        self.seen_classes = max(self.seen_classes, kinds)
                right = clean.right(outputs, rows, specs[name].threshold)
                for data, flags in right.items():
                    written = seen.written[reading]
                    reads[reading, data] = _Read(reading, data, written, flags)
            answers[name] = reads
        return answers

    # -- concluding ----------------------------------------------------------------------------

    def _fits(self, name: str, accuracy: CleanAccuracy | None) -> tuple[Fit, ...]:
        reads = self._reads.get(name)
        if accuracy is None or not reads or self._first is None or not self._first.decisive:
            return ()
        given = reads[AS_GIVEN, AS_GIVEN].right
        clear = CLEAR_IF_SUSPICIOUS if accuracy.suspicion else CLEAR
        others = [read for key, read in reads.items() if key != (AS_GIVEN, AS_GIVEN)]
        single = [read for read in others if AS_GIVEN in (read.input, read.data)]
        fits = [fit for read in single if (fit := self._fit(name, read, given, clear))]
        if not fits:
            double = [read for read in others if read not in single]
            fits = [fit for read in double if (fit := self._fit(name, read, given, clear))]
        best = max((fit.accuracy.rate for fit in fits), default=0.0)
        close = [fit for fit in fits if fit.accuracy.rate >= best - TIED]
        return tuple(sorted(close, key=lambda fit: -fit.accuracy.rate))[:2]

    def _fit(self, name: str, read: _Read, given: Flags, clear: float) -> Fit | None:
        """Return a reading as an explanation, if it is better beyond doubt."""
        gain, p = better(read.right, given)
        right = read.right
        if gain >= PROMISING and p >= clear:
            more = self._rest(name, read)
            if more is not None:
                given = np.concatenate((given, more[AS_GIVEN, AS_GIVEN].right))
                right = np.concatenate((right, more[read.input, read.data].right))
                gain, p = better(right, given)
        found, before = self._counted(name, right), self._counted(name, given)
        if gain <= 0 or p >= clear or found.suspicion is not None:
            return None
        # Neighbouring classes are alike: what is better than nothing need not be the explanation.
        least = LITTLE * max(before.rate, 1 / found.classes) if found.classes else 0.0
        if found.rate < min(0.5, least):
            return None
        return Fit(*read.explained(self._plan.data), found, before)

    def _rest(self, name: str, read: _Read) -> _Reads | None:
        """Return answers to further examples, as given and under one reading of the input."""
        assert self._all is not None
        rest = self._all.rows(slice(SAMPLE, MOST))
        if not len(rest):
            return None
        readings = tuple({AS_GIVEN: None, read.input: None})
        found = self._answers([name], readings, rest).get(name, {})
        return found if (read.input, read.data) in found else None


def _one_label(examples: Examples, seen: int) -> tuple[str, ...]:
    labels = examples.listing.labels
    if labels is None or len(labels) < 2 or seen < 2 or len(np.unique(labels)) > 1:
        return ()
    return (
        f"all {len(labels):,} examples have label {labels[0]}, and a model sees {seen} classes in "
        "them: is the folder of the images one level too high?",
    )
