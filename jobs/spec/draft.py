"""One model or attack being put together from several places of a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gauntlet.jobs.spec.document import Where
from gauntlet.jobs.spec.job_problems import JobProblems
from gauntlet.jobs.spec.wording import Complaint, complaints, truth_values

Built = TypeVar("Built", bound=BaseModel)


@dataclass
class Draft:
    """Fields collected so far, and where each was written.

    Attributes:
        home: where the object itself stands in the job.
        fields: what will be validated.
        origins: places within the object, and where in the job they come from.
    """

    home: Where
    fields: dict[str, Any] = field(default_factory=dict)
    origins: dict[Where, Where] = field(default_factory=dict)

    def put(self, key: str, value: Any, origin: Where) -> None:
        """Set a field, and forget where an earlier value of it came from."""
        self.fields[key] = value
        self.origins = {k: v for k, v in self.origins.items() if k[0] != key}
        self.origins[(key,)] = origin

    def locate(self, inner: Where) -> Where:
        """Return where in the job a place within the object was written."""
        for depth in range(len(inner), 0, -1):
            origin = self.origins.get(inner[:depth])
            if origin is not None:
                return (*origin, *inner[depth:])
        return (*self.home, *inner)

    def copy(self) -> Draft:
        """Return a draft that can be changed without changing this one."""
        return Draft(self.home, dict(self.fields), dict(self.origins))


def entries(value: Any, where: Where) -> list[tuple[Where, Any]]:
    """Return the entries of a list with their places; one entry alone stands for the list."""
    if isinstance(value, list):
        return [((*where, position), entry) for position, entry in enumerate(value)]
    return [] if value is None else [(where, value)]


def validate(model: type[Built], data: Any, wording: Any = None) -> Built | list[Complaint]:
    """Return the validated model, or what is wrong with the data.

    Args:
        model: what to build.
        data: from what.
        wording: the type whose keys messages suggest, when it is not the model itself.
    """
    try:
        built = model.model_validate(data)
    except ValidationError as error:
        return complaints(error, wording or model, data)
    return list(truth_values(built, data)) or built


def build(model: type[Built], draft: Draft, problems: JobProblems, wording: Any) -> Built | None:
    """Return what a draft describes, or report what is wrong with it."""
    built = validate(model, draft.fields, wording)
    if isinstance(built, model):
        return built
    assert isinstance(built, list)
    for complaint in built:
        problems.add(draft.locate(complaint.where), complaint.what)
    return None
