"""The plans of runs as they are written, whatever version wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gauntlet.pipeline.results import RunFolder, records
from gauntlet.pipeline.results.records import check_run

_Section = dict[str, Any]
_Sections = Annotated[list[_Section], Field(min_length=1)]


class WrittenPlan(BaseModel):
    """A plan as it is written: what plans of every version have, by which damage is noticed."""

    model_config = ConfigDict(extra="allow")

    task: _Section
    data: _Section
    surrogates: _Sections
    targets: _Sections
    attacks: _Sections
    seed: int


def written_plan(run: str) -> WrittenPlan:
    """Return the plan of a run, as it is written.

    Raises:
        BadInput: when there is no run, or its plan is damaged.
    """
    check_run(run)
    remedy = "without it {} has no job to compare: put it back from a copy, or leave the run out"
    return records.record(RunFolder(run), "plan.json", WrittenPlan.model_validate_json, remedy)


def differing(plans: Sequence[WrittenPlan]) -> list[str]:
    """Return the fields in which plans are not written alike; names and resources aside."""
    contents = [plan.model_dump(exclude={"name", "resources", "root"}) for plan in plans]
    fields = dict.fromkeys(name for content in contents for name in content)
    first, *others = contents
    return [name for name in fields if any(first.get(name) != each.get(name) for each in others)]
