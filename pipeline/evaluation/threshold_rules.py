"""The rules by which verification thresholds are found, and the names that columns have of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, WrapSerializer

from gauntlet.pipeline.spec import Several, Spec

GIVEN = "given"
"""Name of the rule of a threshold that is stated, not found."""


class FalseAccepts(Spec):
    """A threshold by the share of pairs of different people that may pass."""

    far: float = Field(gt=0, lt=1)
    """False-accept rate, such as `1e-2`. From pairs of different people alone; where they are too
    few to fix it (368 for 1e-2, 3,688 for 1e-3), the job is refused."""

    def __str__(self) -> str:
        return f"false-accept rate {self.far!r}"


ThresholdRule = Literal["accuracy"] | FalseAccepts
"""How a verification model's threshold is found."""


ALONE: tuple[ThresholdRule, ...] = ("accuracy",)
"""The rules of a job that names none."""


def name_of(rule: ThresholdRule) -> str:
    """Return the name of a rule, as columns have it behind theirs: `accuracy`, `far_0.01`."""
    return f"far_{rule.far!r}" if isinstance(rule, FalseAccepts) else rule


def _each_once(rules: tuple[ThresholdRule, ...]) -> tuple[ThresholdRule, ...]:
    names = [name_of(rule) for rule in rules]
    twice = [rule for rule, name in zip(rules, names, strict=True) if names.count(name) > 1]
    if twice:
        raise ValueError(f"the rule {twice[0]} is listed twice")
    return rules


def _as_written(rules: tuple[ThresholdRule, ...], written: SerializerFunctionWrapHandler) -> Any:
    """Return one rule without the brackets of its list: plans of one are what they were."""
    return written(rules)[0] if len(rules) == 1 else written(rules)


ThresholdRules = Annotated[
    Several[ThresholdRule],
    Field(min_length=1),
    AfterValidator(_each_once),
    WrapSerializer(_as_written),
]
"""One rule, or several: the first is the headline."""
