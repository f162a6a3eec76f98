"""The leave-one-out choice of the step, and success against the step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gauntlet.pipeline.evaluation.leave_one_out import leave_one_out, loo_by_group, loo_by_target
from gauntlet.pipeline.evaluation.statistics import wilson
from gauntlet.pipeline.evaluation.step_curves import by_step, by_step_and_group
from gauntlet.pipeline.evaluation.success_rates import by_group, by_target


def brute_force(success: np.ndarray) -> list[int]:
    """Return each image's step by the definition, one sum at a time."""
    n, steps = success.shape
    chosen = []
    for i in range(n):
        best, best_step = -1.0, 0
        for t in range(steps):
            total = sum(success[j, t] for j in range(n) if j != i)
            if total > best + 1e-12:
                best, best_step = total, t
        chosen.append(best_step)
    return chosen


def tables(count: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        shape = rng.integers(1, 9), rng.integers(1, 7)
        made.append((rng.random(shape) < rng.random()).astype(float))
    return made


def verdicts(
    table: np.ndarray,
    *,
    attack: str = "mi",
    target: str = "t1",
    right: list[bool] | None = None,
    steps: list[int] | None = None,
    white_box: bool = False,
) -> pd.DataFrame:
    n, count = table.shape
    steps = steps or list(range(1, count + 1))
    right = right or [True] * n
    return pd.DataFrame(
        [
            {"example": f"e{i}", "attack": attack, "target": target, "group": "normal",
             "white_box": white_box, "step": step, "success": table[i, column],
             "clean_correct": right[i], "goal": "untargeted", "score": 2.0 * column,
             "clean_score": -1.0}
            for i in range(n) for column, step in enumerate(steps)
        ]
    )  # fmt: skip


def test_o_loo_1_never_above_the_best_single_step() -> None:
    for table in tables(3000, seed=1):
        found = leave_one_out(table)
        assert found.rate <= table.mean(0).max() + 1e-12
        # The proof: every success that was chosen is a success at the best step, too.
        best = table.sum(0).argmax()
        assert (found.success <= table[:, best]).all()


def test_o_loo_2_one_step_or_a_dominant_step_gives_its_mean() -> None:
    dominant = 0
    for table in tables(400, seed=2):
        assert leave_one_out(table[:, :1]).rate == table[:, 0].mean()
        # A step that leads by two leads whichever image is left out.
        lead = (table.sum(0) - table.sum(0).max() >= -1).sum() == 1
        if lead and table.sum(0).max() >= 2:
            assert leave_one_out(table).rate == pytest.approx(table.mean(0).max())
            dominant += 1
    assert dominant > 20
    assert leave_one_out(np.column_stack([np.zeros(5), np.ones(5)])).rate == 1.0


def test_brute_force_and_ties() -> None:
    for table in tables(300, seed=3):
        found = leave_one_out(table)
        assert found.chosen.tolist() == brute_force(table)
        assert found.rate == pytest.approx(
            np.mean([table[i, t] for i, t in enumerate(brute_force(table))])
        )
    assert leave_one_out(np.ones((4, 3))).chosen.tolist() == [0, 0, 0, 0]
    assert leave_one_out([[0.0, 1.0]]).rate == 0.0


def test_shares_of_a_randomised_target_tie_exactly() -> None:
    # Over images 1.. both steps sum to 1, but 0.1 ten times is not 1 in binary.
    first = [0.0] + [0.1] * 10
    second = [1.0] + [0.2] * 5 + [0.0] * 5
    assert leave_one_out(np.column_stack([first, second])).chosen[0] == 0
    assert leave_one_out(np.column_stack([second, first])).chosen[0] == 0


@pytest.mark.parametrize(
    ("table", "words"),
    [(np.zeros(3), "shape"), (np.zeros((0, 3)), "shape"), ([[0.0, np.nan]], "no verdict")],
)
def test_bad_tables(table: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        leave_one_out(table)


def test_both_denominators_choose_their_own_steps() -> None:
    table = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    right = [True, True, False, False, False]
    (row,) = loo_by_target(verdicts(table, right=right)).to_dict("records")
    assert row["evaluated_steps"] == 2
    assert row["loo"] == leave_one_out(table[:2]).rate == 0.0
    assert row["loo_all"] == leave_one_out(table).rate == 0.8
    low, high = wilson(row["loo_all"] * 5, 5)
    assert (row["low_loo_all"], row["high_loo_all"]) == (float(low), float(high))
    assert (row["n"], row["n_all"]) == (2, 5)


def test_rows_in_any_order_and_steps_by_their_number() -> None:
    table = (np.random.default_rng(4).random((30, 12)) < 0.5).astype(float)
    frame = verdicts(table, steps=[1, 2, 3, 5, 7, 9, 10, 11, 20, 30, 50, 100])
    (row,) = loo_by_target(frame.sample(frac=1.0, random_state=0)).to_dict("records")
    assert row["loo_all"] == pytest.approx(leave_one_out(table).rate)


def test_attacks_judged_once_have_no_leave_one_out_rate() -> None:
    once = verdicts(np.ones((3, 1)), attack="once", steps=[10])
    several = verdicts(np.eye(3), attack="several")
    assert loo_by_target(once).empty
    assert loo_by_target(pd.concat([once, several]))["attack"].tolist() == ["several"]
    assert loo_by_group(once).empty


def test_a_missing_step_is_an_error() -> None:
    frame = verdicts(np.ones((3, 2)))
    with pytest.raises(ValueError, match="1 images x steps have no verdict"):
        loo_by_target(frame.iloc[:-1])
    with pytest.raises(ValueError, match="no column step"):
        loo_by_target(frame.drop(columns="step"))


def test_groups_are_means_over_targets_with_white_boxes_apart() -> None:
    one, two = np.array([[1.0, 0.0]] * 4), np.array([[0.0, 0.0]] * 4)
    frame = pd.concat(
        [
            verdicts(one, target="t1"),
            verdicts(two, target="t2", right=[True, True, False, False]),
            verdicts(one, target="s1", white_box=True),
            verdicts(one, target="wrong", right=[False] * 4),
        ]
    )
    table = loo_by_group(frame).set_index("white_box")
    assert table.loc[False, "loo"] == 0.5
    assert table.loc[False, "loo_all"] == pytest.approx(2 / 3)
    low, high = wilson(0.5 * 2, 2)
    assert (table.loc[False, "low_loo"], table.loc[False, "high_loo"]) == (float(low), float(high))
    assert table.loc[True, "loo"] == 1.0


def test_curves_have_every_step_in_order_and_end_at_the_summary() -> None:
    table = (np.random.default_rng(5).random((20, 4)) < [0.1, 0.4, 0.8, 0.6]).astype(float)
    right = [bool(i % 3) for i in range(20)]
    frame = pd.concat(
        [verdicts(table, right=right, steps=[1, 2, 10, 20], target=name) for name in ("b", "a")]
    ).iloc[::-1]
    curve = by_step(frame)
    assert curve["step"].tolist() == [1, 2, 10, 20] * 2
    one = curve[curve["target"] == "a"]
    assert one["success_all"].tolist() == pytest.approx(table.mean(0).tolist())
    assert one["success"].tolist() == pytest.approx(table[right].mean(0).tolist())
    last = curve[curve["step"] == 20].drop(columns="step").reset_index(drop=True)
    pd.testing.assert_frame_equal(last, by_target(frame))
    groups = by_step_and_group(frame)
    assert groups["step"].tolist() == [1, 2, 10, 20]
    pd.testing.assert_frame_equal(
        groups[groups["step"] == 20].drop(columns="step").reset_index(drop=True), by_group(frame)
    )


def test_transfer_utility_is_the_gain_in_margin_of_untargeted_attacks_only() -> None:
    frame = verdicts(np.ones((3, 2)))
    assert by_target(frame)["transfer_utility"].tolist() == [3.0]
    assert by_step(frame)["transfer_utility"].tolist() == [1.0, 3.0]
    assert by_group(frame)["transfer_utility"].tolist() == [3.0]
    targeted = frame.assign(goal="targeted")
    assert by_target(targeted)["transfer_utility"].isna().all()
    assert "transfer_utility" not in by_target(frame.drop(columns="score"))
