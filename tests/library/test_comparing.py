"""Attacks side by side: the figures of the reports."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gauntlet import compare, matrix
from gauntlet.pipeline.evaluation.comparison import against
from gauntlet.pipeline.evaluation.statistics import mcnemar
from gauntlet.pipeline.evaluation.success_rates import by_target

KEYS = {"strong": 0.8, "weak": 0.3, "weaker": 0.25}


def verdicts() -> pd.DataFrame:
    draws = np.random.default_rng(0)
    rows = [
        (str(example), attack, target, "normal", target == "known", float(hit), right)
        for attack, rate in KEYS.items()
        for target in ("one", "two", "known")
        for example, (hit, right) in enumerate(
            zip(draws.random(80) < rate, np.arange(80) % 8 > 0, strict=True)
        )
    ]
    names = ["example", "attack", "target", "group", "white_box", "success", "clean_correct"]
    return pd.DataFrame(rows, columns=names).assign(step=1)


def test_a_matrix_has_the_reports_rates_and_tests_against_the_first_attack() -> None:
    found, frame = matrix(verdicts()), verdicts()
    assert found.index.tolist() == [*KEYS]
    assert found["success"].columns.tolist() == ["one", "two", "known"]
    rates = by_target(frame).set_index(["attack", "target"])
    for figure in ("success", "low", "high", "n"):
        for attack, target in rates.index:
            assert found.loc[attack, (figure, target)] == rates.loc[(attack, target), figure]
    right = frame[frame["clean_correct"] & frame["target"].eq("two")]
    one, two = (right[right["attack"].eq(name)]["success"] for name in ("weak", "strong"))
    assert found.loc["weak", ("p_value", "two")] == mcnemar(one, two).p_value
    assert found.loc["weak", ("difference", "two")] == pytest.approx(one.mean() - two.mean())
    assert found["shown"].loc["weak"].all()
    assert found["shown"].loc["strong"].isna().all()
    assert not matrix(frame, against="weak")["shown"].loc["weaker"].any()


def test_groups_are_those_of_the_reports() -> None:
    found = matrix(verdicts(), by="group", against="weak")
    assert found["success"].columns.tolist() == ["normal", "normal (white box)"]
    expected = {
        (label, group): result.difference.low
        for group, label, result in against(verdicts(), "weak")
    }
    for (label, group), low in expected.items():
        assert found.loc[label, ("difference_low", group)] == low
    assert found["p_value"]["normal"].isna().all()


def test_two_attacks_are_compared_in_words_and_figures() -> None:
    found = compare(verdicts(), "strong", "weak")
    assert found["group"].tolist() == ["normal", "normal (white box)"]
    assert found["shown"].all()
    assert found["words"][0].startswith("strong differs from weak: +")
    assert (found["difference_low"] > 0).all()
    by_one = compare(verdicts(), "weak", "weaker", by="target")
    assert by_one["target"].tolist() == ["one", "two", "known"]
    assert by_one["words"].str.startswith("no difference shown: weak against weaker").all()
    with pytest.raises(ValueError, match="unknown attack 'strng'; did you mean 'strong'"):
        compare(verdicts(), "strng", "weak")
    with pytest.raises(ValueError, match="no other attack to compare with"):
        compare(verdicts(), "weak", "weak")


def test_one_attack_has_rates_and_no_tests() -> None:
    every = verdicts()
    alone = every[every["attack"].eq("weak")]
    assert [*matrix(alone).columns.unique("figure")] == ["success", "low", "high", "n"]
