"""Figures in rows and columns: marks by hand, other axes, other values, several seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.jobs.reports.arranging import matrix_of
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.matrix import Matrix, View
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.reading import Reading
from tests.toys.reports import gauntlet, write_run

GROUPS = {"t0": "normal", "t1": "normal", "t2": "trained"}
# Of e0 ... e39 thirty count (each fourth was wrong before). Of the first 40, 34, 32 and 28 that
# are 30, 25, 24 and 21.
FOOLED = {
    ("a", "t0"): 40, ("b", "t0"): 34, ("c", "t0"): 28,
    ("a", "t1"): 40, ("b", "t1"): 32, ("c", "t1"): 32,
    ("a", "t2"): 0, ("b", "t2"): 0, ("c", "t2"): 0,
}  # fmt: skip


def arranged(run: Path, compared: str = "success", **view: object) -> Matrix:
    return matrix_of(Figures(Reading(str(run)), compared), View(**view))  # type: ignore[arg-type]


def shown(matrix: Matrix) -> list[list[str]]:
    found = []
    for row, names in enumerate(matrix.rows):
        cells = [matrix.cells.get((row, column)) for column in range(len(matrix.columns))]
        figures = ["-" if c is None else f"{100 * c.value:.1f}{c.mark}" for c in cells]
        found.append([*names, *figures[:-1]])
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(
        tmp_path_factory.mktemp("matrix") / "run", steps=1, targets=("t0", "t1", "t2"),
        attacks=("a", "b", "c"), fooled=FOOLED, groups=GROUPS,
    )  # fmt: skip


def test_where_nothing_counts_there_is_nothing_to_show(tmp_path: Path) -> None:
    nobody = write_run(tmp_path / "run", steps=1, targets=("t0",), right=False)
    assert [row[1:] for row in shown(arranged(nobody))] == [["nan"], ["nan"]]
    said = gauntlet("report", str(nobody))
    assert said.exit_code == 0, said.output
    assert "nan" not in said.stdout


def test_the_best_of_a_column_and_what_is_not_told_from_it_are_marked(run: Path) -> None:
    matrix = arranged(run, columns=("group", "target"))
    assert [(h.above, h.name) for h in matrix.columns] == [
        ("normal x 2", "t0"), ("normal x 2", "t1"), ("normal x 2", "mean"), ("trained", "t2"),
        ("", "l2"),
    ]  # fmt: skip
    # On t0 five examples tell a from b (p = 2/32), nine a from c (2/512 < 0.05/2). On t1 six tell a
    # from either, p = 2/64: below 0.05, but not below 0.05/2, so that Holm's rule tells neither.
    # Of the means, examples 28 to 39 tell a from b: 2 of t0 and t1 5 times, of t1 alone once; all
    # of one sign, p = 2/2^6 <= 0.05; from c nine, 2/2^9.
    assert shown(matrix) == [
        ["a", "100.0*", "100.0*", "100.0*", "0.0"],
        ["b", "83.3~", "80.0~", "81.7", "0.0"],
        ["c", "70.0", "80.0~", "75.0", "0.0"],
    ]
    assert any("Holm" in note for note in matrix.notes)


def test_rows_and_columns_may_be_others(run: Path) -> None:
    matrix = arranged(run, rows=("group",), columns=("attack",))
    # The toy has no sizes by group: a row is of several attacks.
    assert matrix.rows == [("normal x 2",), ("trained",)]
    assert [h.name for h in matrix.columns] == ["a", "b", "c"]
    assert [matrix.cells[0, column].mark for column in range(3)] == ["*", "", ""]
    with pytest.raises(BadInput, match="would hold several figures: they differ in attack, base"):
        arranged(run, rows=("group",), columns=("norm",))
    with pytest.raises(BadInput, match="they differ in group"):
        arranged(run, rows=("attack",), columns=("norm",))
    with pytest.raises(BadInput, match="--columns: unknown axis 'traget'; did you mean 'target'"):
        arranged(run, columns=("traget",))
    with pytest.raises(BadInput, match="attack is asked for twice"):
        arranged(run, columns=("attack",))


def test_scores_are_compared_as_they_are_and_dodging_wants_the_lowest(
    run: Path, tmp_path: Path
) -> None:
    matrix = arranged(run, "score", columns=("target",), values="score")
    assert [matrix.cells[row, 0].value for row in range(3)] == [1.0, 34 / 40, 28 / 40]
    # Of all 40 examples six tell a from b, p = 2/64 <= 0.05, and twelve a from c.
    assert [matrix.cells[row, 0].mark for row in range(3)] == ["*", "", ""]
    away = write_run(
        tmp_path / "away", steps=1, targets=("t0",), attacks=("a", "b"), goal="dodging",
        fooled=FOOLED,
    )  # fmt: skip
    lowest = arranged(away, "score", values="score")
    assert [lowest.cells[row, 0].mark for row in range(2)] == ["", "*"]
    with pytest.raises(BadInput, match=r"utility: this run has none: .* goal of this run is dod"):
        arranged(away, "transfer_utility", values="utility")


def test_white_boxes_have_a_column_of_their_own(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run", steps=1, attacks=("a", "b"), white={("a", "t0")},
        fooled={("a", "t0"): 40, ("a", "t1"): 20, ("b", "t0"): 40, ("b", "t1"): 20},
    )  # fmt: skip
    matrix = arranged(run)
    assert [h.name for h in matrix.columns[:-1]] == ["normal x 2", "normal (white box)"]
    # b's mean is the better one for a target that a has not; on t1 alone nothing tells them apart.
    assert shown(matrix) == [["a", "50.0~", "100.0"], ["b", "75.0*", "-"]]


def test_one_attack_on_one_target_has_no_marks(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", steps=1, targets=("t0",), attacks=("i",))
    matrix = arranged(run, columns=("group", "target"))
    assert [h.name for h in matrix.columns] == ["t0", "l2"]
    assert {cell.mark for cell in matrix.cells.values()} == {""}
