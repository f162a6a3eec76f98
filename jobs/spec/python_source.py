"""A job that was put together in Python, as the document that a job file would be."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from gauntlet.jobs.spec.document import Document
from gauntlet.jobs.spec.schema import Job
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.spec import Spec

NAME = "job"
"""Stands for the file in messages."""


def written(job: Job | Mapping[str, Any]) -> Document:
    """Return a job as plain data: only what was stated, so that defaults are those of a file.

    Raises:
        BadInput: when a key is no text.
    """
    data = plain(job)
    if strange := [key for key in data if not isinstance(key, str)]:
        raise BadInput(Problem(NAME, f"keys are names of fields, got {strange[0]!r}"))
    return Document(NAME, data, {})


def plain(value: Any) -> Any:
    """Return a value as YAML would give it; what YAML has no word for is left for validation."""
    match value:
        case Spec():
            return {name: plain(getattr(value, name)) for name in value.model_fields_set}
        case Mapping():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case Enum():
            return value.value
        case PurePath():
            return str(value)
    return value
