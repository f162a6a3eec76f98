from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from gauntlet.pipeline.evaluation.threshold_rules import (
    FalseAccepts,
    ThresholdRule,
    ThresholdRules,
    name_of,
)

RULES: TypeAdapter[tuple[ThresholdRule, ...]] = TypeAdapter(ThresholdRules)


def test_names_are_of_the_rate_itself() -> None:
    rates = (1e-2, 1e-3, 1e-5, 0.01234567)
    names = [name_of(FalseAccepts(far=rate)) for rate in rates]
    assert names == ["far_0.01", "far_0.001", "far_1e-05", "far_0.01234567"]
    assert name_of("accuracy") == "accuracy"


def test_a_list_of_one_is_that_rule() -> None:
    assert RULES.validate_python([{"far": 0.01}]) == RULES.validate_python({"far": 0.01})
    both = RULES.validate_json('["accuracy", {"far": 0.01}]')
    assert both == ("accuracy", FalseAccepts(far=0.01))
    assert RULES.validate_json(RULES.dump_json(both)) == both
    # Written as ever: plans of one rule, and their digests, are what they were.
    assert RULES.dump_json((FalseAccepts(far=0.01),)) == b'{"far":0.01}'


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (["accuracy", "accuracy"], "accuracy is listed twice"),
        ([{"far": 1e-2}, "accuracy", {"far": 0.01}], "false-accept rate 0.01 is listed twice"),
        ([], "at least 1 item"),
        (["accuracy", {"far": 1}], "less than 1"),
    ],
)
def test_what_is_no_list_of_rules(rules: list[object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        RULES.validate_python(rules)
