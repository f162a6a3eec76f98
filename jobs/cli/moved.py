"""`gauntlet resume --set`: where and how the rest of a run is done, never what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gauntlet.jobs.spec.overrides import Override
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.taking_up import CHANGEABLE


def moved(plan: Plan, overrides: Sequence[Override]) -> Plan:
    """Return a run's plan with where and how the work is done changed.

    Raises:
        BadInput: with every change that is none of those, or that does not fit.
    """
    content: dict[str, Any] = json.loads(plan.model_dump_json())
    problems = []
    for override in overrides:
        place = ".".join(map(str, override.where))
        if place not in CHANGEABLE:
            what = f"a run that has begun keeps it; {', '.join(CHANGEABLE)} can be changed"
            problems.append(Problem(override.option, what))
        elif place == "root":
            content["root"] = str(Path(str(override.value)).expanduser().resolve())
        else:
            content["resources"][override.where[1]] = override.value
    if problems:
        raise BadInput(problems)
    try:
        return Plan.model_validate_json(json.dumps(content))
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise BadInput(
            Problem(".".join(map(str, one["loc"][:2])), one["msg"].removeprefix("Value error, "))
            for one in found
        ) from None


def root_of(overrides: Sequence[Override]) -> Path | None:
    """Return the `root` that the changes give, whose modules the person has thereby allowed."""
    given = [override.value for override in overrides if override.where == ("root",)]
    return Path(str(given[-1])).expanduser() if given else None
