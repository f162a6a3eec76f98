"""Outcomes of examples, by attack and target."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gauntlet.pipeline.evaluation.outcomes import Outcomes


def verdicts(attack: str, target: str, values: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame({"example": [*values], "success": [*values.values()]}).assign(
        attack=attack, target=target, right=[name != "wrong" for name in values]
    )


def test_examples_are_in_one_order_whatever_order_and_piece_they_come_in() -> None:
    found = Outcomes("success")
    found.add(
        pd.concat(
            [verdicts("a", "t", {"x": 1, "wrong": 1}), verdicts("b", "t", {"wrong": 0, "x": 0})]
        )
    )
    found.add(verdicts("a", "u", {"y": 1 / 3, "x": 0}))
    nan = np.nan
    np.testing.assert_array_equal(
        found.table("a", ["t", "u"], {"t", "u"}), [[1, 0], [nan, nan], [nan, 1 / 3]]
    )
    np.testing.assert_array_equal(found.table("b", ["t", "u"], {"t", "u"})[0], [0, nan])
    assert np.isnan(found.table("a", ["t"], ())).all()
