"""Paired comparison of attacks."""

import numpy as np
import pandas as pd
import pytest

from gauntlet.pipeline.evaluation.comparison import against


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
    with pytest.raises(ValueError, match="unknown attack 'aa'; did you mean 'a'"):
        against(verdicts({"a": 0.5, "b": 0.7}, n=20), "aa")


def test_a_white_box_of_one_attack_is_not_compared():
    frame = verdicts({"a": 0.9, "b": 0.5})
    frame["white_box"] = frame["attack"].eq("a") & frame["target"].eq("t0")
    ((group, label, result),) = against(frame, "b")
    assert (group, label) == ("normal", "a")
    ((_, _, black),) = against(frame[frame["target"].eq("t1")], "b")
    assert result.difference == black.difference
    assert against(frame[frame["target"].eq("t0")], "b") == []


def test_white_boxes_of_both_attacks_are_compared_by_themselves():
    frame = verdicts({"a": 0.9, "b": 0.5})
    frame["white_box"] = frame["target"].eq("t0")
    black, white = against(frame, "b")
    assert [black[0], white[0]] == ["normal", "normal (white box)"]
    for found, target in ((black, "t1"), (white, "t0")):
        ((_, _, alone),) = against(frame[frame["target"].eq(target)], "b")
        assert found[2].difference == alone.difference


def test_examples_that_were_wrong_before_one_attack_are_left_out_for_both():
    frame = verdicts({"a": 0.5, "b": 0.7})
    wrong = frame["attack"].eq("b") & frame["example"].eq("e7")
    frame.loc[wrong, "clean_correct"] = False
    ((_, _, result),) = against(frame, "a")
    both = verdicts({"a": 0.5, "b": 0.7})
    both.loc[both["example"].eq("e7"), "clean_correct"] = False
    assert result == against(both, "a")[0][2]
    frame["clean_correct"] = frame["attack"].eq("b") == frame["example"].lt("e5")
    assert against(frame, "a") == []
