"""Pictures of a run: what they show, and what cannot be drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.reports import pictures
from gauntlet.pipeline import results
from tests.toys.runs import carry_out


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    carry_out(folder, "in-process", select={"limit": 3})
    return folder / "run"


def row(change: np.ndarray, norm: str) -> pd.Series:
    image = (0.5 + change).astype(np.float32)
    return pd.Series(
        {"norm": norm, "epsilon": 25.5, "height": 2, "width": 1, "dtype": "float32",
         "image": image.tobytes()}
    )  # fmt: skip


def test_grey_is_no_change_and_the_budget_is_black_or_white() -> None:
    clean = np.full((2, 1, 3), 0.5)
    change = np.array([[[0.1, -0.1, 0.0]], [[0.05, 0.0, -0.025]]])
    hard, shown = pictures.perturbation(clean, row(change, "linf"))
    np.testing.assert_allclose(hard, clean + change, atol=1e-7)
    np.testing.assert_allclose(shown, [[[1, 0, 0.5]], [[0.75, 0.5, 0.375]]], atol=1e-6)
    # l2: the largest change of the picture is white.
    _, shown = pictures.perturbation(clean, row(0.1 * change, "l2"))
    np.testing.assert_allclose(shown, [[[1, 0, 0.5]], [[0.75, 0.5, 0.375]]], atol=1e-5)
    _, shown = pictures.perturbation(clean, row(0 * change, "l2"))
    np.testing.assert_allclose(shown, 0.5)


def test_a_panel_shows_the_stored_image_and_the_clean_one(run: Path) -> None:
    made = results.read(str(run), "examples")
    label = made["attack"].iloc[0]
    first = made[made["attack"] == label].iloc[:1]
    clean = np.zeros((32, 32, 3))
    name, wanted = first["example"].iloc[0], np.ones((32, 32, 3))
    figure = pictures.draw({name: clean}, first, [label], {name: wanted})
    panels = [axes.get_images()[0] for axes in figure.axes if axes.get_images()]
    drawn = [np.asarray(panel.get_array()) for panel in panels]
    stored = results.decode_image(first.iloc[0])
    np.testing.assert_array_equal(drawn[0], clean)
    np.testing.assert_allclose(drawn[1], stored / 255.0)
    np.testing.assert_array_equal(drawn[2], wanted)
    assert (drawn[3] >= 0.5).all()  # all of it brighter than black
    without = pictures.draw({name: clean}, first, [label])
    assert sum(bool(axes.get_images()) for axes in without.axes) == 3


def test_the_command_draws_a_file(run: Path, tmp_path: Path) -> None:
    sizes = []
    for count in ("1", "2"):
        out = tmp_path / "new" / f"{count}.png"
        result = gauntlet("pictures", str(run), "--out", str(out), "--examples", count)
        assert result.exit_code == 0, result.output
        with Image.open(out) as image:
            sizes.append(image.size)
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 100
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] < sizes[1][1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--out", "x.png", "--attack", "mi/ens/linf8"), "unknown attack 'mi/ens/linf8'"),
        (("--out", "x.bmp"), "--out: x.bmp: expected a .png, .svg or .pdf file"),
    ],
)
def test_what_cannot_be_drawn_is_said(run: Path, arguments: tuple[str, ...], words: str) -> None:
    result = gauntlet("pictures", str(run), *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_run_without_images_says_what_its_job_needs(tmp_path: Path) -> None:
    carry_out(tmp_path, "in-process", select={"limit": 2}, evaluate={"images": False})
    result = gauntlet("pictures", str(tmp_path / "run"), "--out", str(tmp_path / "x.png"))
    assert result.exit_code == 2
    assert "`evaluate: {images: true}`" in result.stderr
    assert gauntlet("pictures", str(tmp_path), "--out", "x.png").exit_code == 2
