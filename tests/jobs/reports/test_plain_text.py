"""Text of users means itself: on the terminal, in progress, in tables, pages, figures and CSVs."""

from __future__ import annotations

import csv
import json
import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gauntlet import jobs
from gauntlet.jobs.cli.bars import TerminalProgress, shown_on
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.page import page
from gauntlet.jobs.reports.plain_text import one_line, plain, spreadsheet_cell, visible
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.results import RunFolder, records
from gauntlet.pipeline.results.reading import Reading
from tests.jobs.cli.test_run_job import gauntlet
from tests.toys.jobs import attacks, write
from tests.toys.reports import write_run
from tests.toys.terminal import pseudo_terminal, shown

ODD = ":sleepy: [red]a[/red] \x1b[2J\x07\r\u202e"
SEEN = r":sleepy: [red]a[/red] \x1b[2J\x07\r\u202e"


def test_control_characters_are_written_out() -> None:
    assert visible(ODD) == SEEN
    assert visible("line\n\ttab, é, 攻撃, 😴") == "line\n\ttab, é, 攻撃, 😴"
    assert visible("caf\udce9.png") == r"caf\udce9.png"  # a file name that is not UTF-8
    assert one_line("a\nb\tc") == r"a\nb\tc"


def test_there_is_one_console() -> None:
    for path in Path(jobs.__file__).parent.rglob("*.py"):
        if path.name != "terminal.py":
            text = path.read_text()
            assert "rich.console" not in text, path
            assert "rich.markup" not in text, path


def test_a_job_s_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    name = json.dumps(ODD)  # as YAML has it, too
    entry = attacks(f"  - {{name: {name}, base: i, epsilon: 8/255, steps: 2}}")
    target = ("{name: t0, ", f"{{name: {name}, ")
    screen = shown(120, "check", str(write(tmp_path, entry, target)))
    assert "\x1b[2J" not in screen.sent
    assert "\x07" not in screen.sent
    assert f"  {SEEN}: import:tests.toys.jobs:network" in screen.text
    assert SEEN.replace(" ", "") in "".join(screen.text.split())


def test_a_factory_called_like_an_emoji_keeps_its_name(tmp_path: Path) -> None:
    job = write(tmp_path, ("import:tests.toys.jobs:network", "import:sleepy:net"))
    problems = gauntlet("check", str(job)).stderr
    assert "import:sleepy:net" in problems or "'sleepy'" in problems
    assert "😴" not in problems


def test_messages_and_stages_are_shown_as_they_are() -> None:
    with pseudo_terminal(100) as screen, shown_on(terminal(stderr=True)) as progress:
        assert isinstance(progress, TerminalProgress)
        progress.stage(ODD, 2)
        progress.advance(ODD, 2)
        progress.note(f"unit failed: {ODD}")
    assert "\x1b[2J" not in screen.sent
    assert "\x07" not in screen.sent
    assert f"unit failed: {SEEN}" in screen.text
    assert ":sleepy: [red]a[/red]" in screen.lines[-1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run whose attacks and targets have names that are more than names elsewhere."""
    folder = tmp_path_factory.mktemp("odd") / "run"
    written = write_run(folder, steps=1, attacks=("=1+1", f"mi {ODD}"), targets=("@t0", "-0.5"))
    RunFolder(str(written)).write_rows(
        "failures",
        "odd",
        {
            "example": [ODD],
            "attack": "=1+1",
            "seed": 0,
            "stage": "attack",
            "reason": f"<b>{ODD}</b>",
        },
    )
    return str(written)


def test_a_run_s_names_are_shown_and_not_obeyed(run: str) -> None:
    screen = shown(120, "report", run, "--targets", "--against", "=1+1")
    assert "\x1b[2J" not in screen.sent
    assert f"  {SEEN}: <b>{SEEN}</b>" in screen.text
    assert screen.text.count(":sleepy:") >= 5
    assert "😴" not in screen.text


def test_a_page_holds_no_control_character(run: str) -> None:
    text = page(Figures(Reading(run)))
    assert not set("\x00\x07\x0b\x1b\r\u202e") & set(text)
    assert f"<td>{SEEN}</td>" in text
    assert f"&lt;b&gt;{SEEN}&lt;/b&gt;" in text
    text.encode()


SCRIPT = "<script>alert(1)</script>"


class Tags(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}


def test_a_page_runs_nothing_that_a_run_s_names_say(tmp_path: Path) -> None:
    target, example = '"></text></svg><img src=x onerror=alert(1)>', "</td><iframe src=//x>"
    run = write_run(tmp_path / "run", steps=2, attacks=("i", SCRIPT), targets=(target,))
    folder = RunFolder(str(run))
    stored = records.manifest(folder).model_copy(update={"name": f"</title>{SCRIPT}"})
    folder.write("manifest.json", stored.text())
    row = {"example": [example], "attack": SCRIPT, "seed": 0, "stage": "attack", "reason": SCRIPT}
    folder.write_rows("failures", "hostile", row)
    text, tags = page(Figures(Reading(str(run)))), Tags()
    tags.feed(text)
    assert {"svg", "table", "title"} <= tags.found
    assert not {"script", "img", "iframe", "onerror"} & tags.found
    assert text.count("&lt;script&gt;") >= 4
    assert "&lt;iframe" in text


def test_a_figure_s_label_is_one_line_without_control_characters() -> None:
    assert plain(f"$x$ {ODD}\n") == rf"\$x\$ {SEEN}\n"


def test_a_csv_holds_no_formula(run: str, tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    assert gauntlet("report", run, "--csv", str(path)).exit_code == 0
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["attack"] for row in rows} == {"'=1+1", f"mi {SEEN}"}
    assert {row["target"] for row in rows} == {"", "'@t0", "-0.5"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", r"\r=1"),
        ("＝1", "'＝1"),  # noqa: RUF001
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        (-0.5, -0.5),
        (True, True),
        (None, None),
        ("di-ti-mi", "di-ti-mi"),
    ],
)
def test_what_a_spreadsheet_would_calculate_is_text(value: object, expected: object) -> None:
    assert spreadsheet_cell(value) == expected
    assert math.isnan(spreadsheet_cell(math.nan))  # type: ignore[arg-type]
