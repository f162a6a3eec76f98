"""Every table of the command line, on a pseudo-terminal of every width."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from gauntlet.jobs.reports.grid import figures, names, texts
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal
from tests.toys.jobs import attacks, write
from tests.toys.reports import write_run
from tests.toys.terminal import WIDTHS, Screen, shown

ATTACKS = ("di-ti-mi/rgea/linf-8", "mi/ens/linf-8")
LONG = (
    "di-ti-mi-vr+sgm+ir(cross-entropy)/torchjd/upgrad[resnet+densenet+inception]/linf-8",
    "mi/ens/linf-8",
)
LONG_TARGET = "inception_resnet_v2.tf_ens_adv_in1k-behind-resize-pad-and-jpeg"

every_width = pytest.mark.parametrize("width", WIDTHS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_run(tmp_path_factory.mktemp("tables") / "run", attacks=ATTACKS))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tables") / "long"
    return str(write_run(folder, attacks=LONG, targets=("t0", LONG_TARGET), steps=1))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("seeds")
    return [
        str(write_run(folder / f"run-{seed}", seed=seed, attacks=LONG, steps=1)) for seed in (0, 1)
    ]


def joined(screen: Screen) -> str:
    """Return all that is shown without blanks and line ends: a broken name is whole again."""
    return "".join(screen.text.split())


def tables(screen: Screen) -> list[list[str]]:
    """Return the lines of each table: from its heading to the blank line after it."""
    found, lines = [], screen.lines
    for place, line in enumerate(lines):
        if set(line.strip()) == {"─"}:
            start = max(at for at in range(place) if not lines[at].strip())
            end = next(at for at in range(place, len(lines)) if not lines[at].strip())
            found.append(lines[start + 1 : end])
    return found


def cell(table: list[str], name: str) -> str:
    """Return what a cell that starts like a name says, over all lines that it is broken into."""
    first = next(at for at, line in enumerate(table) if name[:12] in line)
    start = table[first].index(name[:12])
    width = len(table[first][start:].split(maxsplit=1)[0])
    found = ""
    for line in table[first:]:
        piece = line[start : start + width].strip()
        if not name.startswith(found + piece) or found == name:
            break
        found += piece
    return found


def check(screen: Screen, width: int) -> None:
    """Check that nothing is wider than the window, and no figure or word is cut."""
    assert tables(screen)
    for table in tables(screen):
        assert max(map(cell_len, table)) <= width, "\n".join(table)
        assert not any("…" in line.replace("=…", "") for line in table)  # `=…` is a default


@pytest.mark.parametrize(
    ("width", "left"),
    [
        (60, "clean right %, LOO %, utility, linf, l2"),
        (80, "LOO %, utility, linf, l2"),
        (100, "l2"),
        (120, ""),
    ],
)
def test_names_and_figures_of_a_report_are_whole(run: str, width: int, left: str) -> None:
    screen = shown(width, "report", run, "--long", "--targets", "--steps", "--against", ATTACKS[0])
    check(screen, width)
    rates, targets, steps, _ = tables(screen)
    for table in (rates, targets, steps):
        for attack in ATTACKS:
            assert any(line.strip().startswith(attack) for line in table)
    assert any("normal x 2" in line for line in rates)
    for name in ("t0", "t1"):
        assert sum(name in line.split() for line in targets) == 2
    assert "48.3 (31.7-65.4)" in "\n".join(rates)
    assert "48.8 (34.1-63.7)" in "\n".join(rates)
    said = f"no room for {left} at {width} columns: --csv FILE has all"
    assert (said in " ".join(screen.text.split())) == bool(left)
    assert ("no room" in screen.text) == bool(left)
    # Success against the step keeps the first and the last one.
    heading = next(line for line in steps if line.endswith(" 12")).split()
    assert "1" in heading
    assert len(heading) >= 7


@every_width
def test_long_names_are_broken_but_whole(long: str, width: int) -> None:
    screen = shown(width, "report", long, "--long", "--targets", "--against", LONG[1])
    check(screen, width)
    rates, targets, against = tables(screen)
    for table in (rates, targets, against):
        assert cell(table, LONG[0]) == LONG[0]
    assert cell(targets, LONG_TARGET) == LONG_TARGET


@every_width
def test_the_mean_over_runs_fits(seeds: list[str], width: int) -> None:
    screen = shown(width, "report", *seeds)
    check(screen, width)
    for table in tables(screen):
        assert cell(table, LONG[0]) == LONG[0]
    assert " ± " in screen.text.partition("standard deviation")[2]


@every_width
@pytest.mark.parametrize("name", ["i/ens/linf-8", LONG[0]])
def test_check_shows_every_budget(tmp_path: Path, width: int, name: str) -> None:
    entry = f"  - {{name: '{name}', base: mi, epsilon: 8/255, steps: 2}}"
    screen = shown(width, "check", str(write(tmp_path, attacks(entry))))
    words = joined(screen)
    assert max(map(cell_len, screen.text.partition("surrogates\n")[0].splitlines())) <= width
    if width < 80:
        assert name in words
        assert "budget/255:linf8;steps:2;stepsize/255:6;randomstart:no" in words
        return
    check(screen, width)
    (table,) = tables(screen)
    first = next(line for line in table if line.strip().startswith(name[:14]))
    assert first.split()[-5:] == ["linf", "8", "2", "6", "no"]


@every_width
def test_the_lists_of_methods_and_models_fit(width: int) -> None:
    methods = shown(width, "methods")
    check(methods, width)
    assert any(line.split()[:1] == ["interaction-only"] for line in methods.lines)
    # What has no column of its own is below the words on the part.
    words = joined(methods)
    assert "Xie2019" in words
    assert ("paper:Xie2019" in words) == (width < 120)
    assert ("needs:" in words) == (width < 100)
    part = shown(width, "methods", "di")
    check(part, width)
    assert any(line.split()[:1] == ["interpolation"] for line in part.lines)
    models = shown(width, "models")
    check(models, width)
    assert any(line.split()[:1] == ["torchvision/NAME"] for line in models.lines)


@every_width
def test_what_is_inside_a_model_fits(width: int) -> None:
    screen = shown(width, "models", "inspect", "zoo/s2", "--surgery", "sgm", "--layers")
    check(screen, width)
    assert len(tables(screen)) == 3


def printed(width: int, rows: list[list[str]], **options: Any) -> list[str]:
    text = io.StringIO()
    columns = [*names("attack", "group"), *figures("rate"), *texts("word")]
    print_table(Terminal(file=text, width=width), "title", columns, rows, **options)
    return text.getvalue().splitlines()


def test_a_group_s_name_is_written_once() -> None:
    rows = [["a", "g", "1.0", "x"], ["a", "h", "22.0", "y"], ["b", "g", "3.0", "z"]]
    assert printed(80, rows, nested=True)[4:] == [
        " a       g       1.0  x",
        "         h      22.0  y",
        " b       g       3.0  z",
        "",
    ]


def test_wide_characters_count_as_two() -> None:
    rows = [["攻撃" * 10, "g", "1.0", "x"], ["b", "g", "3.0", "z"]]
    lines = printed(50, rows)
    assert max(map(cell_len, lines)) <= 50
    assert len({line.rstrip().rindex("3.0" if "3.0" in line else "1.0") for line in lines[4:]
                if ".0" in line}) == 2  # fmt: skip
    assert "".join("".join(lines).split()).count("攻撃") == 10


def test_without_a_place_elsewhere_nothing_is_left_out() -> None:
    lines = printed(20, [["an-attack-of-mine", "a-group", "100.0", "a word"]])
    assert lines[2:] == [
        " an-attack-of-mine",
        "   group: a-group;  ",
        "   rate: 100.0;     ",
        "   word: a word     ",
        "",
    ]
