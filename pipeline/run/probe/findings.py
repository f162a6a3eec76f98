"""What a look at the models found, in figures and in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gauntlet.pipeline.evaluation.clean_accuracy import CleanAccuracy
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.manifest import AnswersRecord, ProbeRecord

LISTED = 6
"""Models whose clean accuracies are listed; of more only the range is said."""


class Refused(BadInput):
    """A run that ends before its first attack, by what the models say of the clean data."""


@dataclass(frozen=True)
class Fit:
    """A usual mistake that would explain what a model says.

    Attributes:
        cause: what is wrong.
        advice: what to do.
        accuracy: of the model with that put right.
        given: of the model as it is, on the same examples.
    """

    cause: str
    advice: str
    accuracy: CleanAccuracy
    given: CleanAccuracy

    def __str__(self) -> str:
        return f"{self.accuracy} if {self.cause}: {self.advice}"


@dataclass(frozen=True)
class ModelFinding:
    """One model, as far as the clean data tells.

    Attributes:
        name: its name.
        accuracy: on the clean examples; None when it could not be asked.
        error: why it could not be, or None.
        fits: the mistakes that would explain its answers, best first.
        excuse: why it may be no better, in words: told, but not asked about.
    """

    name: str
    accuracy: CleanAccuracy | None = None
    error: str | None = None
    fits: tuple[Fit, ...] = ()
    excuse: str | None = None

    @property
    def asks(self) -> bool:
        """Whether a person should say that the run is meant all the same."""
        return self.excuse is None and self.suspicious

    @property
    def suspicious(self) -> bool:
        """Whether something seems to be wrong with the model or with what it is shown."""
        doubtful = self.accuracy is not None and self.accuracy.suspicion is not None
        return self.error is not None or doubtful or bool(self.fits)

    @property
    def rate(self) -> CleanAccuracy | None:
        """What a warning says of it: on the examples that its best explanation is about."""
        suspicion = None if self.accuracy is None else self.accuracy.suspicion
        return self.fits[0].given if self.fits and suspicion is None else self.accuracy

    @property
    def why(self) -> tuple[str, ...]:
        """What models must have in common to be told of in one warning."""
        if self.error is not None:
            return (self.error,)
        causes = [text for fit in self.fits for text in (fit.cause, fit.advice)]
        kind = "fits" if self.fits else (self.accuracy and self.accuracy.suspicion)
        return (kind or "", self.excuse or "", *causes)


def warning(findings: Sequence[ModelFinding], explained: bool = False) -> str:
    """Return what is wrong with models that have it in common, and what to do.

    Args:
        findings: the models.
        explained: whether something is said of the data that explains it.
    """
    first = findings[0]
    if first.error is not None:
        return f"{_names(findings)}: cannot look at the clean images: {first.error}"
    assert first.accuracy is not None, "a model that answers has an accuracy"
    if len(findings) == 1:
        text = f"{first.name}: {first.rate} before any attack"
    else:
        shares = [f"{f.name} {100 * f.rate.rate:.1f} %" for f in findings if f.rate is not None]
        text = f"{_listed(shares)} right before any attack"
    doubts = {f.accuracy.suspicion: None for f in findings if f.accuracy is not None}
    if any(doubts):
        text += f", {' or '.join(doubt for doubt in doubts if doubt)}"
    if first.excuse:
        text += f" ({first.excuse})"
    if first.fits:
        best = max(findings, key=lambda f: f.fits[0].accuracy.rate)
        text += "".join(f"; {fit}" for fit in best.fits)
    elif explained:
        pass
    elif first.accuracy.classes is not None:
        text += (
            "; none of the usual causes explains it (labels from 1, text order, channel order, "
            "0..255, normalised twice or never): are these the classes of its checkpoint?"
        )
    else:
        text += (
            "; none of the usual causes explains it (channel order, 0..255, normalised twice or "
            "never, same and different exchanged): is it the right checkpoint, and are the faces "
            "aligned as it wants them?"
        )
    return text


def _names(findings: Sequence[ModelFinding]) -> str:
    return _listed([finding.name for finding in findings])


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
    return ", ".join(texts[:LISTED]) + more


@dataclass(frozen=True)
class Probe:
    """What a look at the models found.

    Attributes:
        models: one finding a model.
        unreadable: why images of the sample could not be decoded.
        remarks: what is wrong with the data, whatever the models.
    """

    models: tuple[ModelFinding, ...]
    unreadable: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What seems to be wrong, one text a fault."""
        alike: dict[tuple[str, ...], list[ModelFinding]] = {}
        for finding in self.models:
            if finding.suspicious:
                alike.setdefault(finding.why, []).append(finding)
        told = tuple(warning(findings, bool(self.remarks)) for findings in alike.values())
        return (*told, *self.remarks)

    @property
    def asks(self) -> bool:
        """Whether a person should say that the run is meant all the same."""
        return bool(self.remarks) or any(finding.asks for finding in self.models)

    def summary(self) -> str | None:
        """Return the clean accuracies in one line, or None when nobody was asked."""
        rates = {f.name: f.accuracy for f in self.models if f.accuracy is not None}
        if not rates:
            if not self.unreadable:
                return None
            return f"the models were not tried on clean images: {self.unreadable[0]}"
        figures = {name: f"{100 * found.rate:.1f} %" for name, found in rates.items()}
        if len(figures) > LISTED:
            low = min(rates, key=lambda name: rates[name].rate)
            high = max(rates, key=lambda name: rates[name].rate)
            shown = f"{figures[low]} ({low}) to {figures[high]} ({high})"
        else:
            shown = ", ".join(f"{name} {figure}" for name, figure in figures.items())
        counts = sorted({found.of for found in rates.values()})
        asked = " to ".join(f"{count:,}" for count in counts[:1] + counts[1:][-1:])
        noun = "pairs" if any(found.classes is None for found in rates.values()) else "examples"
        return f"clean accuracy on {asked} {noun}: {shown}"

    def record(self) -> ProbeRecord:
        """Return the findings as the manifest holds them."""
        accuracies = {finding.name: finding.accuracy for finding in self.models}
        models = {
            name: AnswersRecord(
                right=None if found is None else found.right,
                of=None if found is None else found.of,
                classes=None if found is None else found.classes,
            )
            for name, found in accuracies.items()
        }
        return ProbeRecord(models=models, warnings=list(self.warnings))


Decide = Callable[[Probe], None]
"""Hears what a look at the models found before the first attack, and may raise `Refused`."""
