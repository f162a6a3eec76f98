from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gauntlet.pipeline.evaluation.statistics import wilson
from gauntlet.pipeline.evaluation.success_rates import by_group, by_target


def verdicts(
    success: list[float],
    correct: list[bool | None],
    *,
    attack: str = "i+ens",
    target: str = "t1",
    group: str = "normal",
    white_box: bool = False,
    step: int = 10,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "example": [f"set/{i}" for i in range(len(success))],
            "attack": attack,
            "base": "i",
            "rule": "ens",
            "norm": "linf",
            "epsilon": 8.0,
            "target": target,
            "group": group,
            "white_box": white_box,
            "step": step,
            "success": success,
            "clean_correct": pd.array(correct, dtype="boolean"),
            "linf": 8.0,
            "l2": np.linspace(6, 7, len(success)),
        }
    )


def test_trap_05_both_denominators() -> None:
    frame = verdicts([1.0, 1.0, 0.0, 1.0, 0.0], [True, True, True, False, True])
    (row,) = by_target(frame).to_dict("records")
    assert (row["success"], row["n"]) == (0.5, 4)
    assert (row["success_all"], row["n_all"]) == (0.6, 5)
    assert row["clean_rate"] == 0.8
    assert (row["low"], row["high"]) == pytest.approx(tuple(map(float, wilson(2, 4))))
    assert (row["low_all"], row["high_all"]) == pytest.approx(tuple(map(float, wilson(3, 5))))
    assert (row["linf"], row["l2"]) == (8.0, 6.5)
    assert (row["base"], row["rule"], row["epsilon"]) == ("i", "ens", 8.0)


def test_unknown_clean_answers_have_no_headline() -> None:
    (row,) = by_target(verdicts([1.0, 0.0], [None, None])).to_dict("records")
    assert np.isnan(row["success"])
    assert np.isnan(row["clean_rate"])
    assert (row["n"], row["low"], row["high"], row["success_all"]) == (0, 0.0, 1.0, 0.5)
    (row,) = by_target(verdicts([1.0, 0.0], [None, True])).to_dict("records")
    assert (row["success"], row["n"], row["clean_rate"]) == (0.0, 1, 1.0)


def test_only_the_last_step_of_each_attack_counts() -> None:
    early = verdicts([0.0, 0.0], [True, True], step=1)
    late = verdicts([1.0, 0.0], [True, True], step=5)
    other = verdicts([1.0, 1.0], [True, True], step=3, attack="mi+ens")
    table = by_target(pd.concat([early, late, other])).set_index("attack")
    assert table.loc["i+ens", "success"] == 0.5
    assert table.loc["mi+ens", "success"] == 1.0


def test_groups_are_means_over_targets() -> None:
    frame = pd.concat(
        [
            verdicts([1.0, 1.0, 0.0, 0.0], [True, True, False, False], target="t1"),
            verdicts([0.0, 0.0, 0.0, 1.0], [True, True, True, True], target="t2"),
            verdicts([1.0] * 4, [False] * 4, target="t3"),
            verdicts([1.0] * 4, [True] * 4, target="s1", white_box=True),
            verdicts([0.5] * 4, [True] * 4, target="d1", group="transform"),
        ]
    )
    rows = by_group(frame).set_index(["group", "white_box"]).to_dict("index")
    normal = rows["normal", False]
    assert (normal["targets"], normal["targets_counted"]) == (3, 2)
    assert normal["success"] == pytest.approx((1.0 + 0.25) / 2)
    assert normal["success_all"] == pytest.approx((0.5 + 0.25 + 1.0) / 3)
    assert normal["clean_rate"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert (normal["n"], normal["n_all"]) == (2, 4)
    low, high = wilson(0.625 * 2, 2)
    assert (normal["low"], normal["high"]) == pytest.approx((float(low), float(high)))
    assert rows["normal", True]["success"] == 1.0
    assert rows["transform", False]["success"] == 0.5


def test_bad_tables() -> None:
    frame = verdicts([1.0], [True])
    with pytest.raises(ValueError, match="no column clean_correct"):
        by_target(frame.drop(columns="clean_correct"))
    with pytest.raises(
        ValueError, match="'set/0' occurs twice for attack 'i\\+ens' and target 't1'"
    ):
        by_target(pd.concat([frame, frame]))
