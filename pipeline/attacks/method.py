"""An attack with every choice made: its parts with their parameters, its numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.combine.rule import Rule
from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Part, Place, find
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.points.point import QueryPoint
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.starts.start import Start
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.norms import Normaliser

_SIGN_STEPS = 1.5
"""Default total reach of sign steps in budgets: RobFR's rule, RGEA's 0.6/255 at 8/255, T = 20."""
_NORM_STEPS = 2.5
"""The same of norm-divided steps: RGEA's 1/255 at 8/255 and T = 20."""

PartType = TypeVar("PartType", bound=Part)


@dataclass(frozen=True)
class Method:
    """An attack with every choice made: what `gauntlet.pipeline.attacks.loop.run` follows.

    Attributes:
        label: keys the random draws and names the attack in the results.
        query: what each surrogate is asked.
        plain: the same without views, penalty and filters, on the task's default objective.
        rule: how k answers become one direction.
        points: where the surrogates are asked.
        update: how the direction becomes a step.
        start: where the attack begins; None for the clean image.
        ball: the allowed points.
        steps: number of updates T.
        step_size: alpha.
        normalise: what stands before alpha.
    """

    label: str
    query: Query
    plain: Query
    rule: Rule
    points: tuple[QueryPoint, ...]
    update: Update
    start: Start | None
    ball: Ball
    steps: int
    step_size: float
    normalise: Normaliser


@dataclass(frozen=True)
class Parts:
    """The parts of an attack, each with its parameters; None where nothing is named."""

    start: Start | None
    views: tuple[View, ...]
    surgeries: tuple[Surgery, ...]
    penalty: Penalty | None
    filters: tuple[Filter, ...]
    rule: Rule
    points: tuple[QueryPoint, ...]
    update: Update
    objective: Objective | None

    @classmethod
    def of(cls, kinds: Collection[type[Part]], options: Mapping[str, Part], variant: str) -> Parts:
        """Give parts their parameters.

        Args:
            kinds: one rule, and whatever else is named.
            options: the parameters that were written, by token.
            variant: what follows the rule's name, such as ``upgrad`` of ``torchjd/upgrad``; or "".
        """
        rules = [kind for kind in kinds if issubclass(kind, Rule)]
        defaults: dict[Place, dict[str, Any]] = {
            Place.COMBINE: {"aggregator": variant},
            Place.UPDATE: {"mu": rules[0].mu},
        }
        found = [_made(kind, options, defaults.get(kind.place, {})) for kind in kinds]
        return cls(
            start=_first(found, Start),
            views=_of(found, View),
            surgeries=_of(found, Surgery),
            penalty=_first(found, Penalty),
            filters=_of(found, Filter),
            rule=_of(found, Rule)[0],
            points=_of(found, QueryPoint),
            update=_first(found, Update) or Update(),
            objective=_first(found, Objective),
        )

    def __iter__(self) -> Iterator[Part]:
        """Yield them in the order of the loop, the objective last."""
        for field in fields(self):
            found = getattr(self, field.name)
            if isinstance(found, tuple):
                yield from found
            elif found is not None:
                yield found

    @property
    def guide(self) -> Mapping[str, object] | None:
        """Fields of the earlier attack that the objective goes on from, or None."""
        return None if self.objective is None else self.objective.guide()

    def query(self, objective: Objective) -> Query:
        """Return what each surrogate is asked when ``objective`` is raised."""
        views = tuple(sorted(self.views, key=lambda view: view.order))
        return Query(objective, views, self.filters, self.surgeries, self.penalty)


def default_objective(goal: Goal) -> Objective:
    """Return the cross-entropy, or for faces the cosine."""
    token = "cosine" if goal.task is Task.VERIFICATION else "cross-entropy"
    objective = find(token, Place.OBJECTIVE)()
    assert isinstance(objective, Objective)
    return objective


def default_step_size(normaliser: Normaliser, epsilon: float, steps: int) -> float:
    """Return alpha of an attack that gives none."""
    reach = _SIGN_STEPS if normaliser == "sign" else _NORM_STEPS
    return reach * epsilon / max(steps, 1)


def _made(kind: type[Part], options: Mapping[str, Part], defaults: Mapping[str, Any]) -> Part:
    """Return a part with its options, and what other parts suggest for those not given."""
    own = {name: value for name, value in defaults.items() if name in kind.model_fields}
    if kind.token not in options:
        return kind.model_validate(own)
    given = options[kind.token]
    missing = {name: own[name] for name in own.keys() - given.model_fields_set}
    return given.model_copy(update=missing)


def _of(parts: Sequence[Part], kind: type[PartType]) -> tuple[PartType, ...]:
    return tuple(part for part in parts if isinstance(part, kind))


def _first(parts: Sequence[Part], kind: type[PartType]) -> PartType | None:
    return next(iter(_of(parts, kind)), None)
