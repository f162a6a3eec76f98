"""The job file: what a person writes to ask for a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from gauntlet.jobs.spec.named_attacks import written
from gauntlet.jobs.spec.wording import shown
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.evaluation.threshold_rules import ALONE, ThresholdRules
from gauntlet.pipeline.models import mean
from gauntlet.pipeline.models.model_spec import AnyDefence, ModelSpec
from gauntlet.pipeline.models.sources.source import catalogue
from gauntlet.pipeline.run.plan import Evaluate, Resources, Select, Success, TaskSpec
from gauntlet.pipeline.spec import Several, Spec, Written


def _model_entry(value: Any) -> Any:
    if isinstance(value, str | dict):
        return value
    if isinstance(value, ModelSpec):
        return _stated(value)
    raise ValueError(
        f"expected a source such as 'timm/resnet18', or a mapping of fields, got {shown(value)}"
    )


def _attack_entry(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    if isinstance(value, Attack):
        return _stated(value)
    how = written(value) if isinstance(value, str) else None
    raise ValueError(how or f"expected a mapping such as `{{base: mi}}`, got {shown(value)}")


def _stated(value: Spec) -> dict[str, Any]:
    """Return the fields that a person stated in Python."""
    return {name: getattr(value, name) for name in value.model_fields_set}


ModelEntry = Annotated[str | dict[str, Any], BeforeValidator(_model_entry)]
"""A model of a job: its source, or a mapping of the fields of `ListedModel`."""


AttackEntry = Annotated[dict[str, Any], BeforeValidator(_attack_entry)]
"""An attack of a job, or a grid: a mapping of the fields of `ListedAttack`."""


class ListedModel(ModelSpec):
    """A model in the lists `surrogates` and `targets`.

    A source alone (`timm/resnet18`) is short for `{source: timm/resnet18}`. With `like` a model
    starts from another one of the job and names only what differs:
    `{like: resnet56, defence: jpeg}`.
    """

    # Optional here: the loader completes both before it builds the `ModelSpec`.
    name: str = Field("", min_length=1)
    """Unique within the job; the `target` column of the results. Made from the source by default
    (its last part), or from the model in `like` and what differs."""
    source: str = Field(
        "",
        description=f"{', '.join(f'`{source.form}`' for source in catalogue())}, or `{mean.FORM}` "
        "of `members`. Needed unless `like` is given.",
    )
    like: str | None = None
    """Name of another model of the job. Everything is taken from it but `name`, `group`, `repeats`
    and `white_box`."""
    defence: AnyDefence | None = None
    """Input transform in front of the model: a mapping, or its kind alone (`jpeg`)."""


class ListedAttack(Attack):
    """An attack of the list `attacks`, or a grid of them.

    In a grid the other fields are shared by all combinations, and a block of `options` reaches
    those combinations that use its part. A `name` must then tell the attacks apart; it may refer to
    fields, as in `name: "{base} {steps}"`.
    """

    grid: dict[str, list[Any]] | None = None
    """Axes of a grid: any field of an attack, and a list of its values; every combination is run.
    A value may be a mapping of several fields: `combine: [ens, {combine: rgea, step_size: eps/4}]`.
    """


Seed = Annotated[int, Field(ge=0)]


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    twice = [seed for seed in seeds if seeds.count(seed) > 1]
    if twice:
        raise ValueError(f"the seed {twice[0]} is listed twice")
    return seeds


class Job(Written):
    """Everything a run is made from.

    In Python, attacks may be `gauntlet.Attack`, too; ``gauntlet.run(Job(...))`` checks all that
    ``gauntlet check`` does.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=100)
    """Names the run and its folder."""
    task: TaskSpec
    """What the models do and what the attacker wants."""
    root: Path = Path(".")
    """Folder that relative paths of data and checkpoints start from; itself relative to the job
    file (to the working directory when given by `--set`)."""
    data: DataSpec
    """The images or pairs to attack: a mapping with `source` and the fields of that source."""
    calibrate: DataSpec | None = None
    """Verification: the pairs that thresholds are found on, a mapping as of `data`. By default the
    whole list of `data`; a list of its own lets pairs be attacked that are no part of it."""
    threshold: ThresholdRules = ALONE
    """Verification: how thresholds are found that no model's entry gives. `accuracy`: best accuracy
    on all pairs (LFW protocol). `{far: 1e-2}`: at a false-accept rate. Several judge at once:
    `[accuracy, {far: 1e-2}]`; the first is the headline, of which `success` is, and each further
    one has columns of its own with its name behind (`success_far_0.01`), for every target."""
    success: Success | None = None
    """Embedding match: when an attack has succeeded. `{cosine: 0.8}`, or
    `{rank: 1, gallery: {source: images, root: people}}`."""
    select: Select = Select()
    """Which of them are attacked."""
    surrogates: Several[ModelEntry] = Field(min_length=1)
    """Models whose gradients the attacks use: a list of sources or mappings."""
    targets: Several[ModelEntry] = Field(min_length=1)
    """Models that judge the attacked images: a list of sources or mappings."""
    parts: Several[str] = ()
    """Parts of your own that the attacks use: files (`mine.py`), or modules of packages that
    `--allow-imports` names. See docs/own-parts.md."""
    attacks: Several[AttackEntry] = Field(min_length=1)
    """What is done to every example: a list of attacks and grids."""
    evaluate: Evaluate = Evaluate()
    """What is evaluated and kept."""
    resources: Resources = Resources()
    """Where the work is done."""
    seed: int = Field(0, ge=0)
    """Keys every random draw."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_each_once)] | None = (
        None
    )
    """Several, in place of `seed`: every attack that draws is made under each of them, with the
    column `seed` in all tables. The first keys everything else: thresholds, clean answers, the
    choice of examples, and attacks that draw nothing, which are made once."""
    output: str = "runs/"
    """Folder of run folders, relative to the working directory, or `s3://bucket/prefix`."""
