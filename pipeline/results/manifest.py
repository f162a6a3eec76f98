"""`manifest.json`: what a run says of its attacks, models and data, and of its own course."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, FiniteFloat, JsonValue

from gauntlet.pipeline.files import escaped
from gauntlet.pipeline.spec import Stored

Count = Annotated[int, Field(ge=0, lt=2**63)]
Words = Annotated[str, BeforeValidator(lambda text: escaped(text) if type(text) is str else text)]
"""A text in which a file's name may stand: bytes of it that are not UTF-8 are written out."""


class Record(Stored):
    """A mapping of the manifest: types are strict, what other versions add is kept as it is."""

    model_config = ConfigDict(extra="allow", strict=True)


class AttackRecord(Record):
    """An attack, resolved: `gauntlet.pipeline.attacks.recipe.Attack.summary`."""

    attack: str
    """Its label."""
    seed: int | None = None
    """Where it is not the run's."""
    base: str
    combine: str
    norm: str
    epsilon: float
    """In [0, 1] units."""
    epsilon_unit: str
    steps: int
    step_size: float
    """In [0, 1] units."""
    normalise: str
    objective: str
    random_start: bool
    surrogates: str
    parts: str
    """Every part with its parameters."""


class ModelCard(Record):
    """What a built model says of itself."""

    name: str
    """Unique name."""
    fingerprint: str
    """Of weights, preprocessing and defence."""
    weights: str
    """Fingerprint of the weights alone."""
    preprocessing: str
    """The adapter in words."""
    randomised: bool
    """Whether two evaluations of one image differ."""
    folded: bool
    """Whether batch norm was folded."""
    device: str
    """Where it runs."""
    hardware: str | None = None
    """What computes there: a GPU's name, a CPU's vector units. None in runs of earlier versions."""
    threads: Count | None = None
    """Of the process that holds it, on the CPU; None in runs of earlier versions."""
    adversarial: str | None = None
    """How the weights were trained adversarially, or None."""


class DataRecord(Record):
    """What the data source holds: `gauntlet.pipeline.data.account.Account`."""

    examples: Count
    """Those that the job chose, before `select`."""
    held: Count
    labels: tuple[int, int] | None
    """Lowest and highest; None for pairs, as the numbers of classes."""
    classes_present: Count | None
    classes: Count | None
    notes: list[Words]
    left_out: dict[Words, Count]
    """Number of files that are not read, by cause."""


class ThresholdRecord(Record):
    """A verification model's threshold, and what is known of it where the protocol gave it."""

    source: str
    """`job`, `LFW protocol` or `false-accept rate R`."""
    pairs: Count | None = None
    threshold: float
    """Cosine."""
    accuracy: FiniteFloat | None = None
    """Mean over the folds."""
    accuracy_standard_error: float | None = None
    accuracy_sd: float | None = None
    accuracy_at_threshold: FiniteFloat | None = None
    low: FiniteFloat | None = None
    """Lower end of the threshold's 95 % interval, at a false-accept rate."""
    high: FiniteFloat | None = None
    """Upper end."""
    impostors: Count | None = None
    """Pairs of different people that a false-accept rate is counted over."""
    false_accepts: Count | None = None
    """Those of them that pass."""
    true_accept_rate: FiniteFloat | None = None
    """Share of the pairs of one person that pass."""
    pairs_listed: Count | None = None
    """Pairs of the list; more than ``pairs`` where images did not decode."""
    genuine: Count | None = None
    """Pairs of one person that a true-accept rate is counted over."""
    equal_error_rate: FiniteFloat | None = None
    """At which as many impostors pass as pairs of one person do not."""
    further: dict[str, ThresholdRecord] = Field(default_factory=dict)
    """Thresholds by the job's further rules, by their names."""

    @property
    def rule(self) -> str:
        """Name of the rule that it is by: `given`, `accuracy`, `far_0.01`."""
        return _RULES.get(self.source) or self.source.replace("false-accept rate ", "far_")

    def in_words(self, name: str) -> str:
        """Return the threshold of a model of that name, and from how many pairs it is where it is
        not from all of the list."""
        text = f"{name}: threshold {self.threshold:.4f}"
        if self.low is not None and self.high is not None and self.impostors is not None:
            text += (
                f" ({self.low:.4f} to {self.high:.4f}) at {self.source}: {self.false_accepts:,} of "
                f"{self.impostors:,} pairs of different people pass, and "
                f"{100 * (self.true_accept_rate or 0):.1f} % of those of one person"
            )
        if self.from_all_pairs:
            return text
        return f"{text} from {self.pairs:,} of {self.pairs_listed:,} pairs"

    @property
    def from_all_pairs(self) -> bool:
        """Whether no pair of the list was left out, as far as that was recorded."""
        return None in (self.pairs, self.pairs_listed) or self.pairs == self.pairs_listed


_RULES = {"job": "given", "LFW protocol": "accuracy"}
"""Names of rules by what a record says of its source."""


class GalleryRecord(Record):
    """The gallery that success by rank was judged in."""

    images: Count
    """Those that decoded."""
    fingerprint: str
    """Of what determines their pixels."""


class AnswersRecord(Record):
    """How often a model was right about clean examples; None where it could not be asked."""

    right: Count | None
    of: Count | None
    classes: Count | None


class ProbeRecord(Record):
    """What a look at the models before the first attack found."""

    models: dict[str, AnswersRecord]
    warnings: list[Words]


class SelectionRecord(Record):
    """How many examples `select` looked at and kept."""

    kept: Count
    looked_at: Count


class UnitsRecord(Record):
    """How many units of work are finished, and how many kept failing."""

    done: Count = 0
    failed: Count = 0


class CostRecord(Record):
    """What a run takes, foretold or measured; what is not known is None."""

    seconds: FiniteFloat | None = None
    """From the command to the end, on the clock."""
    stages: dict[str, FiniteFloat] = Field(default_factory=dict)
    """Seconds of its parts: start, thresholds, look, selection, attacks, compaction."""
    units: Count
    """That this is for: measured, those that the last attempt did itself."""
    bytes: Count | None = None
    """Of all tables in the end."""
    files: Count | None = None
    bottleneck: str = ""
    """What the others wait for."""
    basis: str = ""
    """What a foretold cost is from."""


class Manifest(Record):
    """What a run says of itself; a field without a value is not known yet.

    A run fills it in as it goes on and writes it after every stage.
    """

    model_config = ConfigDict(frozen=False)

    started: str
    """Local time with its offset, as `finished`."""
    name: str
    seed: int
    task: dict[str, JsonValue]
    """As the plan has it; `evaluate` and `resources`, too."""
    evaluate: dict[str, JsonValue]
    resources: dict[str, JsonValue]
    placement: str
    """What was chosen, and why."""
    attacks: list[AttackRecord]
    models: dict[str, ModelCard]
    """By role and name: ``surrogate/NAME`` and ``target/NAME``."""
    software: dict[str, str]
    """Versions."""
    data: DataRecord | None = None
    thresholds: dict[str, ThresholdRecord] | None = None
    """By model; empty for classification, and where a gallery decides."""
    gallery: GalleryRecord | None = None
    probe: ProbeRecord | None = None
    """None in runs that are older than the probe, too."""
    selection: SelectionRecord | None = None
    finished: str | None = None
    seconds: FiniteFloat = 0.0
    """Wall-clock time of all attempts that went to their end."""
    units: UnitsRecord = UnitsRecord()
    excess: dict[str, FiniteFloat] | None = None
    """By foreign attack, the most by which an image had left the ball before it was clipped, 8-bit
    steps of the ball's norm; None where no attack is foreign."""
    foretold: CostRecord | None = None
    """What the run was expected to take; None, too, in runs that are older than this."""
    measured: CostRecord | None = None
    """What the last attempt took that went to its end."""

    @property
    def labels(self) -> list[str]:
        """The attacks' labels, in the order of the job."""
        return list(dict.fromkeys(attack.attack for attack in self.attacks))

    @property
    def warnings(self) -> list[str]:
        """What seemed to be wrong before the first attack."""
        return [] if self.probe is None else self.probe.warnings

    def taken_up(self, now: Manifest) -> Manifest:
        """Return what an earlier attempt recorded, with what a new one says where both do."""
        said = now.model_fields_set - {"started"}
        return self.model_copy(update={name: getattr(now, name) for name in said})

    def text(self) -> bytes:
        """Return the content of `manifest.json`."""
        return json.dumps(self.model_dump(mode="json", exclude_unset=True), indent=2).encode()
