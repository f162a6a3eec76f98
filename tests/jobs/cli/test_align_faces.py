"""`gauntlet data align`: what it says, and how it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from tests.toys.datasets import write_image


def align(*arguments: object) -> Result:
    words = ["data", "align", *map(str, arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "160"})


def test_the_exit_status_says_whether_all_were_aligned(data_root: Path, tmp_path: Path) -> None:
    with np.load(data_root / "orl-faces-112.npz") as archive:
        pixels = archive["images"][0]
    photographs, out = tmp_path / "in", tmp_path / "out"
    photographs.mkdir()
    Image.fromarray(pixels).resize((300, 300)).save(photographs / "ann.jpg")
    wall = write_image(photographs / "wall.png", 60, 60)
    result = align(photographs, out, "--size", "160x160", "--workers", "1")
    assert result.exit_code == 1, result.output
    said, listed = result.stdout.splitlines()
    assert said == f"{out}, 160 x 160 (height x width): 1 face aligned; 1 not (no face found)"
    assert listed == f"those not aligned are listed in {out / 'not-aligned.csv'}"
    assert Image.open(out / "ann.png").size == (160, 160)
    wall.unlink()
    result = align(photographs, out, "--size", "160x160", "--workers", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("0 faces aligned, 1 had been before\n")


def test_bad_options_are_refused(tmp_path: Path) -> None:
    for arguments, said in (
        ((tmp_path / "none", tmp_path / "out"), "DIR: no such folder: "),
        ((tmp_path, tmp_path / "out", "--size", "112"), "112x112"),
        ((tmp_path, tmp_path / "out", "--workers", "0"), "--workers"),
    ):
        result = align(*arguments)
        assert result.exit_code == 2
        assert said in result.stderr
