"""The matrix in every format, and on terminals of every width."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.reports.test_arranging import FOOLED, GROUPS
from tests.toys.reports import gauntlet, write_run
from tests.toys.terminal import WIDTHS, shown


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("formats") / "run"
    targets = ("t0", "t1", "t2")
    return str(
        write_run(
            folder, steps=1, targets=targets, attacks=("a", "b", "c"), fooled=FOOLED, groups=GROUPS
        )
    )


def printed(*words: str) -> str:
    result = gauntlet("report", *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_csv_is_figures_in_percent(run: str) -> None:
    assert printed(run, "--targets", "--format", "csv").splitlines() == [
        "attack,normal x 2: t0,normal x 2: t1,normal x 2: mean,trained: t2,l2",
        "a,100.0,100.0,100.0,0.0,5.00",
        "b,83.3,80.0,81.7,0.0,5.00",
        "c,70.0,80.0,75.0,0.0,5.00",
    ]


def test_markdown_has_the_best_in_bold_and_what_is_level_in_italics(run: str) -> None:
    lines = printed(run, "--targets", "--format", "markdown").splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: |"
    assert lines[2].startswith("| a | **100.0** | **100.0** | **100.0** (88.6-100.0) | 0.0 | 5.00")
    assert lines[3].startswith("| b | *83.3* | *80.0* | 81.7 (")
    intervals = printed(run, "--targets", "--intervals", "--format", "markdown")
    assert "*83.3* (66.4-92.7)" in intervals


def test_latex_is_a_tabular_whose_names_are_escaped(run: str, tmp_path: Path) -> None:
    text = printed(run, "--targets", "--format", "latex")
    assert text.startswith("\\begin{tabular}{lrrrrr}\n\\toprule\n& \\multicolumn{3}{c}{normal x 2}")
    assert r"b & \underline{83.3} & \underline{80.0} & 81.7 {\scriptsize(" in text
    assert text.endswith("\\bottomrule\n\\end{tabular}\n")
    odd = str(write_run(tmp_path / "odd", steps=1, attacks=("50%_a&b",)))
    assert r"50\%\_a\&b & " in printed(odd, "--format", "latex")
    assert r"| 50%\_a&b |" in printed(odd, "--format", "markdown")


def test_json_has_everything(run: str) -> None:
    found = json.loads(printed(run, "--targets", "--format", "json", "--against", "a"))
    cell = found["rows"][1]["cells"][0]
    assert (cell["value"], cell["n"]) == (25 / 30, 30)
    assert cell["low"] < cell["value"] < cell["high"]
    assert (cell["best"], cell["not_told_from_best"]) == (False, True)
    assert found["columns"][2] == {"group": "normal x 2", "name": "mean", "mean": True}
    compared = found["lists"][0][0]
    assert (compared["judge"], compared["attack"]) == ("t0", "b")
    assert compared["difference"] == pytest.approx(-5 / 30)


def test_a_comparison_is_in_every_output_and_follows_targets(run: str, tmp_path: Path) -> None:
    import pandas as pd

    page, sheet = tmp_path / "a.html", tmp_path / "a.csv"
    shown_too = printed(
        run, "--targets", "--against", "a", "--html", str(page), "--csv", str(sheet)
    )
    assert "against a, on the same examples" in shown_too
    assert shown_too.count("no difference shown") == 3  # b on t0, whose p is 2/32; both on t2
    table = pd.read_csv(sheet).set_index(["level", "attack", "target"])
    assert table.loc[("target", "b", "t0"), "difference"] == pytest.approx(-5 / 30)
    assert table["difference"].notna().sum() == 2 * 2 + 2 * 3
    text = page.read_text()
    assert text.count("<h2>against a, on the same examples</h2>") == 2
    assert "<td>t0</td><td>b</td><td>-16.7 [" in text
    groups = printed(run, "--against", "a", "--format", "markdown")
    assert "| normal | b | -18.3 \\[" in groups


@pytest.mark.parametrize("width", WIDTHS)
def test_every_cell_is_shown_once_at_every_width(tmp_path: Path, width: int) -> None:
    targets = tuple(f"target-{n}-{'x' * 70}" for n in range(9))
    attacks = (f"attack-{'y' * 70}", "mi")
    fooled = {(a, t): 4 + 3 * n + (a == "mi") for a in attacks for n, t in enumerate(targets)}
    run = str(
        write_run(
            tmp_path / "run",
            steps=1,
            targets=targets,
            attacks=attacks,
            fooled=fooled,
            groups={targets[0]: "first"},
        )
    )
    screen = shown(width, "report", run, "--targets")
    table = screen.text.partition("of the 30")[0].splitlines()
    assert max(map(len, table)) <= width
    words = "".join("".join(table).split())
    rates = [line for line in table if line.startswith(" mi ")]
    figures = [
        word.rstrip("*~") for line in rates for word in line.split()[1:] if word[0].isdigit()
    ]
    right = [sum(i % 4 != 0 for i in range(fooled["mi", target])) for target in targets]
    mean = sum(right[1:]) / 8 / 30
    expected = [f"{100 * hits / 30:.1f}" for hits in right] + [f"{100 * mean:.1f}", "5.00"]
    assert figures == expected
    assert words.count("-first") == 0
    assert sum(line.strip().startswith("normal x 8") for line in table) >= 1


def test_the_best_is_bold_on_a_terminal(run: str) -> None:
    sent = shown(80, "report", run).sent
    assert "\x1b[1m100.0* (88.6-100.0)\x1b[0m" in sent


def test_values_that_a_run_has_not_are_refused(run: str) -> None:
    for words, what in (
        (("--values", "speed"), "--values: unknown values 'speed'"),
        (("--values", "passes", "--rows", "base"), "--rows, --columns: with --values passes"),
        (("--format", "word"), "--format: unknown format 'word'"),
        (
            ("--rows", "rule", "--columns", "norm"),
            "--rows, --columns: a cell (rule ens, norm linf)",
        ),
    ):
        result = gauntlet("report", run, *words)
        assert result.exit_code == 2
        assert result.stderr.startswith(what)
        assert result.stdout == ""


def test_passes_are_counted_from_the_plan(run: str) -> None:
    text = printed(run, "--values", "passes", "--format", "csv")
    heading, *rows = text.splitlines()
    assert heading == "attack,s0,s1,all surrogates"
    assert rows[0].startswith("i/ens/linf-8,2.00,2.00,4.00")


def test_a_log_without_a_locale_gets_ascii(run: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gauntlet", "report", run],
        capture_output=True,
        env={"PATH": "", "PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert b" ---------" in done.stdout
