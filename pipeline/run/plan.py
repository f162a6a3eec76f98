"""A run, written out in full: what `gauntlet run` does and `gauntlet resume` does again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from gauntlet.pipeline.attacks import own_parts
from gauntlet.pipeline.attacks.own_parts import PartsSource
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.evaluation.threshold_rules import ALONE, ThresholdRules
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import Permission, granted, permit
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import records
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import examine
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.spec import Several, Spec

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0)]


class TaskSpec(Spec):
    """What the models do and what the attacker wants."""

    kind: Task
    """`classification`, `verification`, or `embedding`: pairs of images as in verification, without
    its protocol; `success` says what the attacker wants of the embeddings."""
    goal: Goal
    """Classification: `untargeted` or `targeted`; else `impersonation` or `dodging`."""

    @field_validator("goal")
    @classmethod
    def _of_the_task(cls, goal: Goal, known: ValidationInfo) -> Goal:
        kind = known.data.get("kind", goal.task)
        if goal.task.embeds is not kind.embeds:
            goals = " or ".join(repr(g.value) for g in Goal if g.task.embeds is kind.embeds)
            raise ValueError(f"{goal.value!r} is no goal of {kind.value}; expected {goals}")
        return goal


class Select(Spec):
    """Which examples are attacked, by the models' own answers on the clean images."""

    correct: Several[str] | Literal["surrogates", "targets", "all"] | None = None
    """Keep the examples that all of these models (names, or a role) get right."""
    limit: int | None = Field(None, ge=1)
    """Stop after this many kept examples."""


class Success(Spec):
    """When an attack on embeddings has succeeded: by a cosine, or by rank in a gallery."""

    cosine: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """Impersonation: the cosine to the second image of the pair is above this one; dodging: it is
    below."""
    rank: Count | None = None
    """Impersonation: fewer than so many images of others in the gallery are as near as the second
    image of the pair, so that 1 is the nearest; dodging: so many are nearer. Ties count against
    the attacker. Others are the images of other people where both sources tell people apart
    (`red-team`, `identities`, `images`, `rendered`, `lfw`, `rfw`, `cfp`, `ytf`, by sub-folders),
    else all but the image itself."""
    gallery: DataSpec | None = None
    """`rank`: the images to be told from, a mapping as of `data`; of pairs, those of both sides."""

    @model_validator(mode="after")
    def _one_rule(self) -> Success:
        if (self.cosine is None) == (self.rank is None):
            found = "both" if self.rank is not None else "neither"
            raise ValueError(f"expected one of `cosine` and `rank`, got {found}")
        if (self.rank is None) != (self.gallery is None):
            what = "`rank` needs `gallery`" if self.gallery is None else "`gallery` needs `rank`"
            raise ValueError(f"{what}: write `{{rank: 1, gallery: {{source: ...}}}}`")
        return self

    def __str__(self) -> str:
        if self.gallery is None:
            return f"cosine {self.cosine:g}"
        return f"rank {self.rank} in a gallery"


class Evaluate(Spec):
    """What is evaluated and kept."""

    quantize: bool = True
    """Round adversarial images to 8 bits inside the ball before they are stored and judged."""
    images: bool = True
    """Store the adversarial images in the `examples` table."""
    traces: bool = True
    """Store one row an image x step in the `traces` table."""
    steps: Literal["last", "all"] | Annotated[Several[Count], Field(min_length=1)] = "last"
    """Updates after which every target judges the image: `last`, `all`, or a list such as
    `[1, 5, 10]`. The last update is always among them. Several are needed for success against the
    step and for the leave-one-out choice of the step (LOO). Only the last image is stored."""
    interactions: InteractionSpec | None = None
    """Measure the interactions within every stored perturbation on each of its surrogates: a
    mapping, `{}` for all defaults. One row an image x surrogate in the `interactions` table."""

    @field_validator("steps")
    @classmethod
    def _in_order(
        cls, steps: Literal["last", "all"] | tuple[int, ...]
    ) -> Literal["last", "all"] | tuple[int, ...]:
        if isinstance(steps, str):
            return steps
        if len(set(steps)) < len(steps):
            raise ValueError(f"a step is listed twice: {', '.join(map(str, steps))}")
        return tuple(sorted(steps))

    def before_last(self, total: int) -> tuple[int, ...]:
        """Return the updates before the last one, of ``total``, that are judged."""
        if self.steps == "last":
            return ()
        if self.steps == "all":
            return tuple(range(1, total))
        return tuple(int(step) for step in self.steps if int(step) < total)


class Resources(Spec):
    """Where the work is done. Nothing here changes which numbers are drawn."""

    placement: Literal["auto", "in-process", "packed", "pinned"] = "auto"
    """`in-process`: no Ray. `packed`: every worker holds all surrogates. `pinned`: one surrogate an
    actor."""
    batch: int = Field(64, ge=1)
    """Examples in a unit of work."""
    in_flight: Count | Literal["auto"] = "auto"
    """Units that are worked on at the same time."""
    workers: Count | Literal["auto"] = "auto"
    """packed: number of workers."""
    target_workers: Count | Literal["auto"] = "auto"
    """Processes that the targets are spread over."""
    replicas: int = Field(1, ge=1)
    """pinned: actors for each surrogate."""
    hubs: Count | Literal["auto"] = "auto"
    """pinned: processes that run the attacks' loops. `auto`: one for each replica, and more on the
    way when they are what surrogates wait for and cores are free; not where in_flight is stated."""
    threads: Count | Literal["auto"] = "auto"
    """CPU threads of each worker."""
    surrogate_gpus: Share | Literal["auto"] = "auto"
    """Share of a GPU for each surrogate actor or packed worker."""
    target_gpus: Share | Literal["auto"] = "auto"
    """Share of a GPU for each target worker."""
    hub_gpus: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    """pinned: share of a GPU for each hub, whose loop then runs there. `auto`: the share that its
    tensors need where the surrogates are on GPUs and leave room for it, else 0."""
    part_megabytes: float = Field(64.0, gt=0, le=1024)
    """Rows that are finished wait in a buffer until they take so many megabytes ..."""
    part_seconds: float = Field(30.0, ge=0)
    """... or until the first has waited so many seconds: no kill costs more work than that."""
    storage_patience_s: float = Field(300.0, ge=0)
    """Seconds for which writing is tried again when the run's storage fails (full, read-only, gone,
    refusing); then the run stops, and can be resumed."""
    dtype: Literal["float32", "float64", "float16", "bfloat16"] = "float32"
    """Precision of the surrogates. Images, gradients and steps have it, too, but in half precision:
    they are float32 there, and float16 gradients are scaled, example by example."""
    tf32: bool = False
    """Allow TF32 matrix products on GPUs."""
    fold: bool = True
    """Fold batch norm into convolutions and use channels-last memory (gradients agree to 1e-5)."""
    rows_per_pass: int = Field(256, ge=1)
    """Most image views in one forward pass of a surrogate: bounds memory."""

    @model_validator(mode="after")
    def _used(self) -> Resources:
        unused = [
            name
            for name in _UNUSED.get(self.placement, ())
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if self.hubs != "auto" and self.hubs < self.replicas:
            raise ValueError(
                f"hubs: {self.hubs} leaves replicas without work: write {self.replicas} or more"
            )
        if unused:
            raise ValueError(
                f"{', '.join(unused)} would have no effect with placement {self.placement!r}; "
                "leave it out, or choose another placement"
            )
        return self


PRECISION = ("dtype", "tf32", "fold")
"""Fields of `resources` that determine the precision of the rows."""
ELSEWHERE = tuple(name for name in Resources.model_fields if name not in PRECISION)
"""The other ones, which change where and how the work is done."""

_UNUSED = {
    "in-process": (
        "in_flight",
        "workers",
        "target_workers",
        "replicas",
        "hubs",
        "surrogate_gpus",
        "target_gpus",
        "hub_gpus",
    ),
    "packed": ("replicas", "hubs", "hub_gpus"),
    "pinned": ("workers",),
}
"""Fields that a placement has no use for: given all the same, they are refused."""


class Plan(Spec):
    """Everything that determines a run's rows, and where it runs."""

    name: str
    """Names the run."""
    task: TaskSpec
    """What the models do and what the attacker wants."""
    root: Path
    """Folder that relative paths of data and checkpoints start from."""
    data: DataSpec
    """The images or pairs to attack."""
    calibrate: DataSpec | None = Field(None, exclude_if=lambda value: value is None)
    """The pairs that thresholds are found on, where they are not those of `data`."""
    threshold: ThresholdRules = Field(ALONE, exclude_if=lambda rules: rules == ALONE)
    """How thresholds are found: the rules, the headline first."""
    success: Success | None = Field(None, exclude_if=lambda value: value is None)
    """Embedding match: when an attack has succeeded."""
    select: Select = Select()
    """Which of them are attacked."""
    surrogates: tuple[ModelSpec, ...] = Field(min_length=1)
    """Models whose gradients the attacks use."""
    targets: tuple[ModelSpec, ...] = Field(min_length=1)
    """Models that judge the attacked images."""
    parts: tuple[PartsSource, ...] = ()
    """Files and modules of the person's own whose parts the attacks use. Before the attacks: a
    process that the plan comes to has them when it reads these."""
    attacks: tuple[Attack, ...] = Field(min_length=1)
    """Every attack, written out."""
    evaluate: Evaluate = Evaluate()
    """What is evaluated and kept."""
    resources: Resources = Resources()
    """Where the work is done."""
    seed: int = 0
    """Keys every random draw."""

    @model_validator(mode="after")
    def _in_one_process(self) -> Plan:
        calling = [attack.label for attack in self.attacks if attack.source is not None]
        if calling and self.resources.placement == "pinned":
            raise ValueError(
                f"attack {calling[0]!r} needs its surrogates in one process: placement packed, "
                "or in-process"
            )
        return self

    @property
    def what(self) -> dict[str, Any]:
        """What determines the rows: all but the name, and where and how the work is done."""
        free: dict[str, Any] = {"name": True, "root": True, "resources": {*ELSEWHERE}}
        return self.model_dump(mode="json", exclude=free)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds under which attacks are made, the run's own first."""
        return tuple(dict.fromkeys([self.seed, *map(self.seed_of, self.attacks)]))

    def seed_of(self, attack: Attack) -> int:
        """Return the seed that keys an attack's draws."""
        return self.seed if attack.seed is None else attack.seed

    def surrogates_of(self, attack: Attack) -> tuple[str, ...]:
        """Return the names of the surrogates that an attack of the plan uses."""
        return attack.surrogates or tuple(spec.name for spec in self.surrogates)


def plan_of(location: str, permission: Permission | None = None, root: Path | None = None) -> Plan:
    """Return the plan that the run in a folder was started with.

    Args:
        location: the run's.
        permission: the code of the person's that may be run, for parts and data sets of their own;
            by default that of the working directory.
        root: folder that relative paths of parts start from, where it is another than then.

    Raises:
        BadInput: when there is no run in the folder, or its plan is damaged or was edited; when the
            parts that it uses are not here, or others than then.
    """
    folder = RunFolder(location)
    if not folder.holds_run():
        raise BadInput(Problem(location, "no run here: plan.json is missing"))
    if (record := Record.read(folder)) is not None:
        return recorded(folder, record, permission, root)
    remedy = "without it {} cannot go on: put it back from a copy, or run the job anew elsewhere"
    return records.record(folder, "plan.json", Plan.model_validate_json, remedy)


def recorded(
    folder: RunFolder,
    record: Record,
    permission: Permission | None = None,
    root: Path | None = None,
) -> Plan:
    """Return the plan that a run's record says; arguments as of `plan_of`.

    Raises:
        BadInput: when `plan.json` is another one, or the record has lost it; and as `plan_of`.
    """
    damage = examine(folder, record)
    if damage.fatal:
        raise BadInput(Problem(folder.location, damage.line))
    try:
        content: Any = record.plan
        may = granted() if permission is None else permission
        permit(may)
        if parts := content.get("parts"):
            own_parts.taken_up(parts, root or Path(content["root"]), may)
        return Plan.model_validate_json(json.dumps(record.plan))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        what = f"its plan is of another version ({place}: {first['msg']}): resume it with that one"
        raise BadInput(Problem(folder.location, what)) from None
