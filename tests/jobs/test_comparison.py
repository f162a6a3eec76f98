"""Paired comparison of attacks in a report."""

import numpy as np
import pandas as pd
import pytest

from jobs.comparison import against
from pipeline.problems import BadInput


def verdicts(rates, n=300):
    """Verdicts on two targets; each attack fools the examples whose number is below its rate."""
    rng = np.random.default_rng(0)
    hardness = rng.random((n, 2))
    rows = [
        {"example": f"e{i}", "attack": name, "target": f"t{t}", "group": "normal", "step": 10,
         "success": float(hardness[i, t] < rate), "clean_correct": i % 10 != 0}
        for name, rate in rates.items() for i in range(n) for t in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_clear_difference_is_shown_and_none_is_not():
    found = against(verdicts({"a": 0.5, "b": 0.7, "c": 0.505}), "a")
    assert [(group, label) for group, label, _ in found] == [("normal", "b"), ("normal", "c")]
    better, same = (result for _, _, result in found)
    assert better.difference.low > 0.1
    assert not better.words.startswith("no difference shown")
    assert same.words.startswith("no difference shown")


def test_only_examples_that_the_target_got_right_count():
    frame = verdicts({"a": 0.5, "b": 0.5})
    wrong = ~frame["clean_correct"] & frame["attack"].eq("b")
    frame.loc[wrong, "success"] = 1.0
    ((_, _, result),) = against(frame, "a")
    assert result.difference.value == 0


def test_an_unknown_attack_is_named():
    with pytest.raises(BadInput, match="--against: unknown attack 'aa'; did you mean 'a'"):
        against(verdicts({"a": 0.5, "b": 0.7}, n=20), "aa")
