"""An attack as a person writes it, and as the loop runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.combine.rule import Rule
from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Part, Place, catalogue, find
from gauntlet.pipeline.attacks.penalties.penalty import Penalty
from gauntlet.pipeline.attacks.points.point import QueryPoint
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.starts.random import RandomStart
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.updates.momentum import Momentum
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.norms import Normaliser
from gauntlet.pipeline.spec import Quantity, Several, Spec, number

_BASE = (
    Place.START,
    Place.VIEW,
    Place.SURGERY,
    Place.PENALTY,
    Place.FILTER,
    Place.POINT,
    Place.UPDATE,
)
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
        start: random start, or none.
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
    start: RandomStart | None
    ball: Ball
    steps: int
    step_size: float
    normalise: Normaliser


def tokens(base: str) -> list[str]:
    """Split a base name such as ``di-ti-mi`` into its parts' tokens (``-`` or ``+``).

    A token may itself contain a dash (``mi+ir-closed``): the longest known one is taken.
    """
    known = {part.token for part in catalogue() if part.place in _BASE}
    found: list[str] = []
    for piece in base.strip().lower().split("+"):
        words = [word for word in piece.split("-") if word]
        while words:
            ends = range(len(words), 1, -1)
            end = next((end for end in ends if "-".join(words[:end]) in known), 1)
            found.append("-".join(words[:end]))
            words = words[end:]
    return found


class Attack(Spec):
    """One attack: a base, a combination rule, a budget, and their options.

    ``base`` is put together from the parts that ``gauntlet methods`` lists, in any order:
    ``i`` (plain), ``pgd`` (random start), ``mi``, ``di``, ``ti``, ``vr``, ``sgm``, ``ir``. A part's
    parameters go into ``options`` under its token: ``options: {di: {p: 0.8}, rgea: {rtol: 1e-6}}``;
    options of a part that the attack does not have are refused.
    """

    name: str | None = Field(None, min_length=1)
    """Label in the results; made from base, rule and budget by default."""
    base: str = "i"
    """Parts joined by `-` or `+`, such as `di-ti-mi`."""
    combine: str = "ens"
    """Combination rule, such as `rgea`, `svre`, `ens-logits` or `torchjd/upgrad`."""
    norm: Literal["linf", "l2"] = "linf"
    """Which ball."""
    epsilon: Quantity = Field(8 / 255, ge=0)
    """Budget in [0, 1] units, such as `8/255`."""
    epsilon_unit: Literal["rms", "abs"] | None = None
    """l2 only: `rms` (the default) means per pixel, times sqrt(3HW); `abs` the norm itself."""
    steps: int = Field(10, ge=0)
    """Updates T."""
    step_size: float | str | None = None
    """alpha in [0, 1] units, or an expression in `eps` such as `eps/10`. By default 1.5 eps/T for
    sign steps and 2.5 eps/T for steps divided by a norm."""
    normalise: Normaliser | None = None
    """What stands before alpha. The rule's own by default: the sign after ens and svre, l2rms after
    ens-l2, mgda and rgea and in an l2 ball. `l2` divides by the absolute norm."""
    objective: str | None = None
    """What is raised: `cross-entropy` (default), `logit`, `margin`; `cosine` for faces."""
    surrogates: Annotated[Several[str], Field(min_length=1)] | None = None
    """Names of the surrogates to use; all by default."""
    options: dict[str, SerializeAsAny[Part]] = Field(default_factory=dict)
    """Parameters of the parts, by token."""

    @field_validator("base")
    @classmethod
    def _known_base(cls, base: str) -> str:
        names = tokens(base)
        if not names:
            raise ValueError("an attack needs a base such as 'i' or 'di-ti-mi'")
        places = [(find(name, *_BASE).place, name) for name in names]
        if len(set(names)) != len(names):
            raise ValueError(f"{base!r} names a part twice")
        for single, noun in ((Place.UPDATE, "update rule"), (Place.PENALTY, "penalty")):
            several = [name for place, name in places if place is single]
            if len(several) > 1:
                raise ValueError(f"{base!r} has more than one {noun}: {', '.join(several)}")
        return base

    @field_validator("combine")
    @classmethod
    def _known_rule(cls, combine: str) -> str:
        token, _, variant = combine.partition("/")
        find(token, Place.COMBINE)
        if bool(variant) != (token == "torchjd"):
            raise ValueError("write `torchjd/NAME`, and other rules without a slash")
        return combine

    @field_validator("objective")
    @classmethod
    def _known_objective(cls, objective: str | None) -> str | None:
        if objective is not None:
            find(objective, Place.OBJECTIVE)
        return objective

    @field_validator("options", mode="before")
    @classmethod
    def _typed_options(cls, options: Any, info: ValidationInfo) -> Any:
        # Resolves each option block to its part's class; a block without its part is refused here.
        if not isinstance(options, dict) or not {"base", "combine"} <= info.data.keys():
            return options
        rule, _, variant = info.data["combine"].partition("/")
        places = dict.fromkeys(tokens(info.data["base"]), _BASE) | {rule: (Place.COMBINE,)}
        objective = info.data.get("objective")
        if objective is not None:
            places[objective] = (Place.OBJECTIVE,)
        if unused := sorted(set(options) - places.keys()):
            raise ValueError(
                f"options for {', '.join(map(repr, unused))}, which the attack "
                f"{info.data['base']!r} with {info.data['combine']!r} does not use"
            )
        return {
            token: value
            if isinstance(value, Part)
            else find(token, *places[token]).model_validate(
                {"aggregator": variant, **value}
                if variant and token == rule and isinstance(value, dict)
                else value
            )
            for token, value in options.items()
        }

    @field_validator("step_size")
    @classmethod
    def _readable_step(cls, step: float | str | None) -> float | str | None:
        if step is not None and number(step, eps=1.0, epsilon=1.0) <= 0:
            raise ValueError(f"the step size must be positive, got {step!r}")
        return step

    @model_validator(mode="after")
    def _sound(self) -> Attack:
        if self.epsilon_unit is not None and self.norm != "l2":
            raise ValueError("epsilon_unit belongs to the l2 norm")
        _ = self.rule
        if self.epsilon > 1 and not (self.norm == "l2" and self.epsilon_unit == "abs"):
            raise ValueError(
                f"epsilon is in [0, 1] units: {self.epsilon:g} is more than the range "
                f"of a pixel; is {self.epsilon:g}/255 meant?"
            )
        if self.alpha > 1 and self.normaliser in ("sign", "l2rms") and self.step_size is not None:
            raise ValueError(
                f"step_size is in [0, 1] units: {self.alpha:g} is more than the range "
                f"of a pixel; is {self.alpha:g}/255 meant?"
            )
        if self._update.token == "ni" and self.normaliser not in ("sign", "l2rms"):
            raise ValueError("ni looks ahead only under `normalise: sign` or `l2rms`")
        if self.epsilon == 0 and self.steps and self.step_size is None:
            raise ValueError("a zero budget needs an explicit step_size")
        self._refuse_objections(None)
        return self

    def _refuse_objections(self, goal: Goal | None) -> None:
        objective, parts = self._objective, self.parts
        for part in parts:
            if complaint := part.objection(self, goal):
                raise ValueError(complaint)
        if not self.rule.fuses_outputs:
            return
        unfit = [part.token for part in parts if isinstance(part, Penalty)]
        if objective is not None and not objective.fusable:
            unfit.append(objective.token)
        if unfit:
            raise ValueError(
                f"{self.combine!r} fuses outputs, and {', '.join(unfit)} needs each surrogate's "
                "own; use 'ens' or another rule that combines gradients"
            )

    # -- parts ---------------------------------------------------------------------------------

    def _part(self, token: str, kind: type[PartType], **defaults: Any) -> PartType:
        given = self.options.get(token)
        if given is not None:
            missing = {key: value for key, value in defaults.items() if not _is_set(given, key)}
            given = given.model_copy(update=missing)
        else:
            place = {Rule: (Place.COMBINE,), Objective: (Place.OBJECTIVE,)}.get(kind, _BASE)
            given = find(token, *place).model_validate(defaults)
        assert isinstance(given, kind)
        return given

    def _of_kind(self, kind: type[PartType]) -> list[PartType]:
        known = [token for token in tokens(self.base) if issubclass(find(token, *_BASE), kind)]
        return [self._part(token, kind) for token in known]

    @cached_property
    def rule(self) -> Rule:
        """The combination rule with its parameters."""
        token, _, variant = self.combine.partition("/")
        return self._part(token, Rule, **({"aggregator": variant} if variant else {}))

    @cached_property
    def _update(self) -> Update:
        for token in tokens(self.base):
            part = find(token, *_BASE)
            if issubclass(part, Momentum):
                return self._part(token, Update, mu=self.rule.mu)
            if part.place is Place.UPDATE:
                return self._part(token, Update)
        return Update()

    @cached_property
    def _objective(self) -> Objective | None:
        return None if self.objective is None else self._part(self.objective, Objective)

    @property
    def normaliser(self) -> Normaliser:
        """What stands before alpha: what was written, or else the ball's or the rule's default."""
        if self.normalise is not None:
            return self.normalise
        return "l2rms" if self.norm == "l2" else self.rule.normalise

    @cached_property
    def alpha(self) -> float:
        """The step size as a number."""
        if self.step_size is not None:
            return number(self.step_size, eps=self.epsilon, epsilon=self.epsilon)
        reach = _SIGN_STEPS if self.normaliser == "sign" else _NORM_STEPS
        return reach * self.epsilon / max(self.steps, 1)

    @cached_property
    def label(self) -> str:
        """The attack's name in the results; keys its random draws."""
        if self.name is not None:
            return self.name
        only = f"[{'+'.join(self.surrogates)}]" if self.surrogates else ""
        raised = f"({self.objective})" if self.objective else ""
        return f"{self.base}{raised}/{self.combine}{only}/{self.norm}-{self.epsilon * 255:.4g}"

    def objective_for(self, goal: Goal) -> Objective:
        """Return the objective for a goal.

        Raises:
            ValueError: when the objective or the rule does not exist for the goal's task.
        """
        objective = self._objective or default_objective(goal)
        if goal.task not in objective.tasks:
            raise ValueError(f"the objective {objective.token!r} does not exist for {goal.task}")
        if goal.task not in self.rule.tasks:
            raise ValueError(
                f"{self.combine!r} fuses class outputs and does not exist for {goal.task}: "
                "embeddings of different networks are not comparable; use 'ens'"
            )
        self._refuse_objections(goal)
        return objective

    def objection(self, goal: Goal) -> str | None:
        """Return why the attack does not exist for a goal, or None."""
        try:
            self.objective_for(goal)
        except ValueError as error:
            return str(error)
        return None

    def query(self, goal: Goal) -> Query:
        """Return what each surrogate is asked.

        Raises:
            ValueError: when the attack does not exist for the goal's task.
        """
        return Query(
            self.objective_for(goal),
            tuple(sorted(self._of_kind(View), key=lambda view: view.order)),
            tuple(self._of_kind(Filter)),
            tuple(self._of_kind(Surgery)),
            next(iter(self._of_kind(Penalty)), None),
        )

    def method(self, goal: Goal, entries: int) -> Method:
        """Make every choice.

        Args:
            goal: what the attacker wants.
            entries: number of entries of one image, 3HW; the l2 budget depends on it.

        Raises:
            ValueError: when the attack does not exist for the goal's task.
        """
        scale = entries**0.5 if self.norm == "l2" and self.epsilon_unit != "abs" else 1.0
        starts = self._of_kind(RandomStart)
        query = self.query(goal)
        return Method(
            label=self.label,
            query=query,
            plain=Query(default_objective(goal), surgeries=query.surgeries),
            rule=self.rule,
            points=tuple(self._of_kind(QueryPoint)),
            update=self._update,
            start=starts[0] if starts else None,
            ball=Ball(self.norm, self.epsilon * scale),
            steps=self.steps,
            step_size=self.alpha,
            normalise=self.normaliser,
        )

    def summary(self) -> dict[str, str | float | int]:
        """Return what was resolved, for manifests and ``gauntlet check`` (spec. trap 10)."""
        return {
            "attack": self.label,
            "base": self.base,
            "combine": self.combine,
            "norm": self.norm,
            "epsilon": self.epsilon,
            "epsilon_unit": (self.epsilon_unit or "rms") if self.norm == "l2" else "abs",
            "steps": self.steps,
            "step_size": self.alpha,
            "normalise": self.normaliser,
            "objective": self.objective or "default",
            "random_start": bool(self._of_kind(RandomStart)),
            "surrogates": "+".join(self.surrogates or ()) or "all",
            "parts": "; ".join(repr(p) for p in self.parts if p.place is not Place.OBJECTIVE),
        }

    @property
    def parts(self) -> list[Part]:
        """Every part that is named, and the rule and the update, each with its parameters."""
        found: list[Part] = [*self._of_kind(RandomStart), *self._of_kind(View)]
        found += [*self._of_kind(Surgery), *self._of_kind(Penalty), *self._of_kind(Filter)]
        found += [self.rule, *self._of_kind(QueryPoint), self._update]
        return [*found, self._objective] if self._objective is not None else found

    def guide(self, fields: Mapping[str, object]) -> Attack:
        """Return an earlier attack on the same surrogates, under the same budget.

        Args:
            fields: what an objective asks of it, such as base and steps.
        """
        shared = ("combine", "norm", "epsilon", "epsilon_unit", "surrogates")
        rule = self.combine.partition("/")[0]
        # Without a budget there is no step size to derive from it.
        step = {"step_size": self.step_size} if self.epsilon == 0 else {}
        return Attack.model_validate(
            {
                "name": f"{self.label}/guide",
                **step,
                **{name: getattr(self, name) for name in shared},
                "options": {rule: self.options[rule]} if rule in self.options else {},
                **fields,
            }
        )


def default_objective(goal: Goal) -> Objective:
    """Return the cross-entropy, or for faces the cosine."""
    token = "cosine" if goal.task is Task.VERIFICATION else "cross-entropy"
    objective = find(token, Place.OBJECTIVE)()
    assert isinstance(objective, Objective)
    return objective


def _is_set(part: Part, field: str) -> bool:
    return field in part.model_fields_set or field not in type(part).model_fields
