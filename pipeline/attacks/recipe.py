"""An attack as a person writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    JsonValue,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.attacks.base_name import named, parse
from gauntlet.pipeline.attacks.combine.rule import Rule
from gauntlet.pipeline.attacks.method import Method, Parts, default_objective, default_step_size
from gauntlet.pipeline.attacks.objectives.objective import Objective
from gauntlet.pipeline.attacks.part import Choice, Part, Place, find
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.norms import Normaliser
from gauntlet.pipeline.spec import Quantity, Several, Spec, Written, number

_FOREIGN = ("name", "norm", "epsilon", "epsilon_unit", "surrogates", "seed")
"""Fields that an attack of another library has, too, beside `source` or `images`."""


def _default(model: type[Spec], name: str) -> object:
    """Return a field's default as JSON has it; what `steps` of a foreign attack are, too."""
    return 0 if name == "steps" else model.model_fields[name].get_default(call_default_factory=True)


def _is_none(value: object) -> bool:
    return value is None


class Attack(Written):
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
    """Parameters of the parts, by token; those of a `source`, by its own names."""
    seed: int | None = Field(None, ge=0, exclude_if=_is_none)
    """Keys its random draws; the run's seed by default. A job gives it to the attacks of its
    `seeds`, all but the first."""
    source: str | None = Field(None, pattern=r"^[\w.]+:[\w.]+$")
    """Another library's attack on the same bench, in place of `base` and all that belongs to it:
    `torchattacks:CLASS`, `foolbox:CLASS`, `art:CLASS`, `transferattack:NAME`, or
    `MODULE:FUNCTION` of your own, called with (model, images, labels)."""
    images: str | None = Field(None, min_length=1)
    """Finished adversarial images of these examples, in place of an attack: a folder of image files
    (named as the examples), an .npz (`images`, and `ids` or in order), or a Parquet table."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """What the `source` is called with: `options` as a job writes them."""

    @model_validator(mode="before")
    @classmethod
    def _foreign(cls, data: Any) -> Any:
        # A foreign attack has no parts: what it is written with is its own.
        if not isinstance(data, dict) or not (data.get("source") or data.get("images")):
            return data
        if data.get("source") and data.get("images"):
            raise ValueError("`source` and `images` exclude each other: one attack, or its results")
        kind = "source" if data.get("source") else "images"
        fields = {name: value for name, value in data.items() if value is not None}
        known = {*_FOREIGN, kind, *(("options", "arguments") if kind == "source" else ())}
        whole = fields.keys() - known
        if unused := sorted(name for name in whole if fields[name] != _default(cls, name)):
            raise ValueError(f"{', '.join(unused)} has no meaning beside `{kind}`")
        fields = {name: value for name, value in fields.items() if name in known}
        given = fields.pop("options", {})
        return {"arguments": given, **fields, "steps": 0} if given else {**fields, "steps": 0}

    @field_validator("base")
    @classmethod
    def _known_base(cls, base: str) -> str:
        parse(base)
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
        base, combine = info.data["base"], info.data["combine"]
        kinds = named(base, combine, info.data.get("objective"))
        if unused := sorted(set(options) - kinds.keys()):
            raise ValueError(
                f"options for {', '.join(map(repr, unused))}, which the attack {base!r} with "
                f"{combine!r} does not use; those with options here: {', '.join(sorted(kinds))}"
            )
        rule, _, variant = combine.partition("/")
        if variant and isinstance(options.get(rule), dict):
            options = options | {rule: {"aggregator": variant, **options[rule]}}
        return {token: kinds[token].model_validate(value) for token, value in options.items()}

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
        _ = self._parts
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
        if self.epsilon == 0 and self.steps and self.step_size is None:
            raise ValueError("a zero budget needs an explicit step_size")
        self._refuse_objections(None)
        return self

    def _refuse_objections(self, goal: Goal | None) -> None:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        choice = Choice(self.norm, self.normaliser, frozenset(given), self.parts)
        for part in self.parts:
            if complaint := part.objection(choice, goal):
                raise ValueError(complaint)
        if (fields := self._parts.guide) is not None:
            self._refuse_guide(fields, goal)

    def _refuse_guide(self, fields: Mapping[str, object], goal: Goal | None) -> None:
        try:
            guide = self.guide(fields)
            if goal is not None:
                guide.objective_for(goal)
        except ValidationError as error:
            reasons = [reason["msg"].removeprefix("Value error, ") for reason in error.errors()]
            raise ValueError(f"base attack of {self.objective}: {'; '.join(reasons)}") from None
        except ValueError as error:
            raise ValueError(f"base attack of {self.objective}: {error}") from None

    @cached_property
    def _parts(self) -> Parts:
        kinds = named(self.base, self.combine, self.objective).values()
        return Parts.of(kinds, self.options, self.combine.partition("/")[2])

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that are named, the rule and the update, each with its parameters."""
        return tuple(self._parts)

    @property
    def foreign(self) -> str | None:
        """Whose attack it is, where it is not one of parts: its `source`, or `images`."""
        return self.source or (None if self.images is None else "images")

    @property
    def rule(self) -> Rule:
        """The combination rule with its parameters."""
        return self._parts.rule

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
        return default_step_size(self.normaliser, self.epsilon, self.steps)

    @cached_property
    def label(self) -> str:
        """The attack's name in the results; keys its random draws."""
        if self.name is not None:
            return self.name
        if self.foreign is not None:
            return f"{self.foreign}/{self.norm}-{self.epsilon * 255:.4g}"
        only = f"[{'+'.join(self.surrogates)}]" if self.surrogates else ""
        raised = f"({self.objective})" if self.objective else ""
        return f"{self.base}{raised}/{self.combine}{only}/{self.norm}-{self.epsilon * 255:.4g}"

    @property
    def random(self) -> bool:
        """Whether another seed may give other images; what its surrogates draw is not counted."""
        if self.foreign is not None:
            return self.source is not None  # what draws in it nobody knows
        guide = self._parts.guide
        return any(part.random for part in self.parts) or (
            guide is not None and self.guide(guide).random
        )

    def objective_for(self, goal: Goal) -> Objective:
        """Return the objective for a goal.

        Raises:
            ValueError: when the objective or the rule does not exist for the goal's task.
        """
        objective = self._parts.objective or default_objective(goal)
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
        return self._parts.query(self.objective_for(goal))

    def method(self, goal: Goal, entries: int) -> Method:
        """Make every choice.

        Args:
            goal: what the attacker wants.
            entries: number of entries of one image, 3HW; the l2 budget depends on it.

        Raises:
            ValueError: when the attack does not exist for the goal's task.
        """
        scale = entries**0.5 if self.norm == "l2" and self.epsilon_unit != "abs" else 1.0
        query = self.query(goal)
        return Method(
            label=self.label,
            query=query,
            plain=Query(default_objective(goal), surgeries=query.surgeries),
            rule=self.rule,
            points=self._parts.points,
            update=self._parts.update,
            start=self._parts.start,
            ball=Ball(self.norm, self.epsilon * scale),
            steps=self.steps,
            step_size=self.alpha,
            normalise=self.normaliser,
        )

    def summary(self) -> dict[str, str | float | int]:
        """Return what was resolved, for manifests and ``gauntlet check`` (spec. trap 10)."""
        mine = self.foreign is None
        seeded = {} if self.seed is None else {"seed": self.seed}
        return {
            "attack": self.label,
            **seeded,
            "base": self.foreign or self.base,
            "combine": self.combine if mine else "foreign",
            "norm": self.norm,
            "epsilon": self.epsilon,
            "epsilon_unit": (self.epsilon_unit or "rms") if self.norm == "l2" else "abs",
            "steps": self.steps,
            "step_size": self.alpha,
            "normalise": self.normaliser,
            "objective": self.objective or "default",
            "random_start": self._parts.start is not None,
            "surrogates": "+".join(self.surrogates or ()) or "all",
            "parts": "; ".join(repr(p) for p in self.parts if p.place is not Place.OBJECTIVE)
            if mine
            else json.dumps(self.arguments or self.images, sort_keys=True),
        }

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
