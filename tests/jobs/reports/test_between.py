"""Runs side by side: differences by hand, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from gauntlet.jobs.reports.between import side_by_side
from gauntlet.jobs.reports.matching import matching
from gauntlet.pipeline.evaluation.statistics import mcnemar_p
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.manifest import AttackRecord
from tests.toys.manifests import manifest
from tests.toys.reports import gauntlet, write_run

FOOLED = {("a", "t0"): 20, ("a", "t1"): 20, ("b", "t0"): 20, ("b", "t1"): 20}
MORE = {(attack, target): 28 for attack in "axy" for target in ("t0", "t1", "t2")}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One run on e0 ... e39 and one on e8 ... e47; t1 is a white box of the second's attack."""
    folder = tmp_path_factory.mktemp("between")
    one = write_run(folder / "one", steps=1, attacks=("a", "b"), fooled=FOOLED)
    two = write_run(
        folder / "two", seed=1, steps=1, attacks=("a", "x", "y"), targets=("t0", "t1", "t2"),
        fooled=MORE, white={("a", "t1")}, first=8,
    )  # fmt: skip
    return [str(one), str(two)]


def test_differences_are_of_the_examples_and_targets_that_are_shared(runs: list[str]) -> None:
    found = side_by_side(runs)
    row = found.table.iloc[0]
    assert len(found.table) == 1
    # Of e8 ... e39 three in four count, 24. The first 20 examples leave 9 of them, the first 28 15.
    assert (row["attack"], row["targets"], row["n"]) == ("a", 1, 24)
    assert (row["success_A"], row["success_B"]) == (9 / 24, 15 / 24)
    assert row["difference_B"] == pytest.approx(6 / 24)
    assert row["p_value_B"] == mcnemar_p(0, 6) == 2 / 2**6
    assert 0 < row["low_B"] < 6 / 24 < row["high_B"]
    assert row["shown_B"]
    assert found.remarks == [
        "the jobs differ in seed",
        "left out, a white box in some runs only: t1",
        "not in all runs, left out of A: attacks b; 8 examples",
        "not in all runs, left out of B: attacks x, y; targets t2; 8 examples",
    ]


def test_a_run_beside_itself_does_not_differ(runs: list[str]) -> None:
    found = side_by_side([runs[0], runs[0], runs[0]], by_target=True)
    assert found.table["target"].tolist() == ["t0", "t1"] * 2
    assert (found.table[["difference_B", "difference_C", "low_C", "high_C"]] == 0).all(axis=None)
    assert found.remarks == []


def test_what_cannot_be_compared_is_refused_with_the_reason(
    runs: list[str], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="two runs or more"):
        side_by_side(runs[:1])
    empty = str(write_run(tmp_path / "empty", attacks=()))
    with pytest.raises(BadInput, match=r"empty: No verdicts yet"):
        side_by_side([runs[0], empty])
    other = str(write_run(tmp_path / "other", steps=1, targets=("t9",), attacks=("a",)))
    with pytest.raises(BadInput, match=r"share no target that .* left out of A: .*targets t0, t1"):
        side_by_side([runs[0], other])
    far = str(write_run(tmp_path / "far", steps=1, attacks=("a",), first=1000))
    with pytest.raises(BadInput, match="share no target that judged the same examples"):
        side_by_side([runs[0], far])
    result = gauntlet("compare", *runs, "--format", "excel")
    assert result.exit_code == 2
    assert "--format: unknown format 'excel'" in result.stderr


def test_the_command_prints_and_writes_the_same_figures(runs: list[str], tmp_path: Path) -> None:
    path = tmp_path / "new" / "b.csv"
    result = gauntlet("compare", *runs, "--csv", str(path))
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if line.startswith(" a "))
    assert line.split()[:6] == ["a", "normal", "24", "37.5", "62.5", "+25.0*"]
    assert f"B: {runs[1]}" in result.stdout
    assert "left out, a white box in some runs only: t1" in result.stdout
    assert pd.read_csv(path)["difference_B"].tolist() == pytest.approx([0.25])
    written = gauntlet("compare", *runs, "--targets", "--format", "json")
    assert json.loads(written.stdout)[0]["target"] == "t0"
    assert "left out" in written.stderr
    assert "| a | t0 | 24 | 37.5 | 62.5 | +25.0" in gauntlet(
        "compare", *runs, "--targets", "--format", "markdown"
    ).stdout  # fmt: skip


def records(*attacks: tuple[str, str, str]) -> list[AttackRecord]:
    (record,) = manifest().attacks
    return [
        record.model_copy(update={"attack": label, "base": base, "combine": rule})
        for label, base, rule in attacks
    ]


def test_attacks_are_matched_by_label_then_by_base_and_rule_then_if_they_are_all() -> None:
    first = records(("i/ens/linf-8", "i", "ens"), ("mi/ens/linf-8", "mi", "ens"),
                    ("i/rgea/linf-8", "i", "rgea"))  # fmt: skip
    second = records(("mi/ens/linf-16", "mi", "ens"), ("i/ens/linf-8", "i", "ens"),
                     ("mine", "pgd", "rgea"))  # fmt: skip
    found = matching([first, second])
    assert found.attacks == {
        "i/ens/linf-8": ("i/ens/linf-8", "i/ens/linf-8"),
        "mi/ens": ("mi/ens/linf-8", "mi/ens/linf-16"),
    }
    assert found.alone == (("i/rgea/linf-8",), ("mine",))
    assert matching([first[2:], second[2:]]).attacks == {"i/rgea/linf-8": ("i/rgea/linf-8", "mine")}
    twice = records(("mi/ens/linf-4", "mi", "ens"), ("mi/ens/linf-16", "mi", "ens"))
    found = matching([first[1:2] + first[2:], twice])
    assert found.attacks == {}
    assert found.alone[1] == ("mi/ens/linf-4", "mi/ens/linf-16")
