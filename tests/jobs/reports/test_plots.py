"""Figures and page of a report."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gauntlet.jobs.reports.drawings import figures_of, steps_figure, svg
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.page import page
from gauntlet.jobs.reports.plain_text import plain
from gauntlet.jobs.reports.plots import write_plots
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.reading import Reading
from tests.toys.reports import N, gauntlet, write_run

HOSTILE = "_a<b>&$x_1$"


def figures(run: Path) -> Figures:
    return Figures(Reading(str(run)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    attacks = ("i", "mi", "di", HOSTILE)
    folder = write_run(tmp_path_factory.mktemp("plots") / "run", attacks=attacks)
    store = RunFolder(str(folder))
    rng = np.random.default_rng(0)
    for place, attack in enumerate(attacks):
        store.write_rows(
            "interactions",
            f"unit-{place}",
            {
                "example": [f"e{i}" for i in range(N)],
                "task": "classification", "goal": "untargeted", "attack": attack, "seed": 0,
                "base": attack, "rule": "ens", "surrogates": "s0", "norm": "linf",
                "epsilon": 8.0, "steps": 12,
                "step_size": 1.0, "surrogate": "s0", "grid": "4x4", "utility": "loss",
                "estimator": "exact", "samples": 16, "interaction": place + rng.normal(size=N),
                "standard_error": 0.0, "total": 1.0, "empty": 0.0, "closed_form": None,
                "orders": [[]] * N, "order_interactions": [[]] * N,
                "order_standard_errors": [[]] * N, "l2": 5.0,
                "neighbours": None, "neighbour_errors": None, "scaled_to": None,
            },
        )  # fmt: skip
    store.write_rows(
        "failures",
        "input",
        {"example": ["x<script>alert(1)</script>"], "attack": [None], "seed": [None],
         "stage": ["input"], "reason": ["no image"]},
    )  # fmt: skip
    return folder


def test_figures_are_written_as_drawings_and_pictures(run: Path, tmp_path: Path) -> None:
    result = gauntlet("report", str(run), "--plots", str(tmp_path / "plots"))
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    stems = ["interaction-s0", "steps", "success"]
    assert names == sorted(f"{stem}.{kind}" for stem in stems for kind in ("png", "svg"))
    for stem in stems:
        root = ElementTree.parse(tmp_path / "plots" / f"{stem}.svg").getroot()
        text = " ".join("".join(root.itertext()).split())
        assert "s0 to t0" in text if stem.startswith("interaction") else HOSTILE in text
        with Image.open(tmp_path / "plots" / f"{stem}.png") as picture:
            assert min(picture.size) > 200
    again = write_plots(figures(run), tmp_path / "again")
    for path in again:
        if path.suffix == ".svg":
            assert path.read_bytes() == (tmp_path / "plots" / path.name).read_bytes()


def test_curves_are_the_figures_of_the_table(run: Path) -> None:
    curves = figures(run).curves()
    figure = steps_figure(curves)
    (axes,) = figure.axes
    for line, (_, part) in zip(axes.lines, curves.groupby("attack", sort=False), strict=True):
        assert np.asarray(line.get_xdata()).tolist() == part["step"].tolist()
        assert np.allclose(line.get_ydata(), 100 * part["success"])
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == plain(HOSTILE)


def test_without_steps_and_interactions_there_is_one_figure(tmp_path: Path) -> None:
    once = write_run(tmp_path / "once", steps=1)
    assert [name for name, _ in figures_of(figures(once))] == ["success"]


def test_the_page_is_whole_escaped_and_without_scripts(run: Path, tmp_path: Path) -> None:
    result = gauntlet("report", str(run), "--html", str(tmp_path / "report.html"))
    assert result.exit_code == 0, result.output
    text = (tmp_path / "report.html").read_text()
    assert text == page(figures(run))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<b>" not in text
    assert "_a&lt;b&gt;&amp;$x_1$" in text
    assert text.count("<svg") == 3
    assert "LOO (leave-one-out)" in text
    body = text.partition("<body>")[2].partition("</body>")[0].replace("<br>", "<br/>")
    ElementTree.fromstring(f"<body>{body}</body>")
    for source in ("http://", "https://", "src=", "href="):
        outside = [
            part for part in text.split(source)[1:]
            if not part.startswith(("www.w3.org", "#", '"#', "purl.org", "creativecommons.org",
                                    "matplotlib.org"))
        ]  # fmt: skip
        assert not outside, outside[0][:80]


def test_nothing_to_draw_yet(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", attacks=())
    result = gauntlet("report", str(folder), "--plots", str(tmp_path / "plots"))
    assert result.exit_code == 2
    assert "nothing to draw" in result.stderr
    assert "No verdicts yet" in page(figures(folder))


def test_a_run_whose_examples_all_failed_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", attacks=())
    failed = {"example": ["a"], "stage": ["attack"], "reason": ["not finite"]}
    (folder / "failures").mkdir(exist_ok=True)
    pd.DataFrame(failed).to_parquet(folder / "failures" / "u.parquet")
    for told in (gauntlet("report", str(folder)).output, page(figures(folder))):
        assert "nothing that was attacked so far could be judged" in told
        assert "not finite" in told


def test_a_drawing_starts_with_its_element(run: Path) -> None:
    _, figure = next(iter(figures_of(figures(run))))
    assert svg(figure).startswith("<svg ")
