"""The sections of the job file's page, from the models that validate it."""

from __future__ import annotations

from pydantic import BaseModel

from gauntlet.jobs.reference.field_words import field_row
from gauntlet.jobs.reference.index import Section
from gauntlet.jobs.spec.schema import Job, ListedAttack, ListedModel
from gauntlet.pipeline.attacks.part import catalogue
from gauntlet.pipeline.data.sources.source import catalogue as data_sources
from gauntlet.pipeline.data.sources.source import name_of
from gauntlet.pipeline.evaluation.threshold_rules import FalseAccepts
from gauntlet.pipeline.interactions import InteractionSpec
from gauntlet.pipeline.models.defences.defence import catalogue as defences
from gauntlet.pipeline.run.plan import Evaluate, Resources, Select, Success, TaskSpec


def sections() -> list[Section]:
    """Return the mappings of the job file, in reading order."""
    return [
        Section(
            heading=heading,
            introduction=tuple(_introduction(model)),
            fields=tuple(field_row(name, field) for name, field in model.model_fields.items()),
        )
        for heading, model in models()
    ]


def models() -> list[tuple[str, type[BaseModel]]]:
    """Return the models of the job file with the heading of each, in reading order."""
    fixed: list[tuple[str, type[BaseModel]]] = [
        ("The job", Job),
        ("`task`", TaskSpec),
        *((f"`data`, source `{name_of(source)}`", source) for source in data_sources()),
        ("`threshold`", FalseAccepts),
        ("`success`", Success),
        ("`select`", Select),
        ("A model of `surrogates` or `targets`", ListedModel),
        *((f"`defence` of a model, kind `{kind}`", model) for kind, model in defences().items()),
        ("An attack of `attacks`", ListedAttack),
        ("`evaluate`", Evaluate),
        ("`interactions` of `evaluate`", InteractionSpec),
        ("`resources`", Resources),
    ]
    parts = [(f"`options` of `{part.token}`", part) for part in catalogue() if part.model_fields]
    return fixed + parts


def _introduction(model: type[BaseModel]) -> list[str]:
    documentation = model.__doc__ or ""
    lines = [line.strip() for line in documentation.strip().splitlines()]
    return [line.replace("``", "`") for line in lines] + [""] if documentation else []
