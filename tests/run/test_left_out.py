"""Nothing is left out silently: what a source and thresholds go without is said and recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.page import page
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline import results
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.results.reading import Reading
from tests.toys import jobs as tiny
from tests.toys.datasets import grow

JOB = """\
name: tiny
task: {kind: verification, goal: impersonation}
data: {source: pairs, images: faces, pairs: pairs.csv, folds: 2}
surrogates:
  - {name: s0, source: "import:tests.toys.jobs:network", options: {seed: 0}, threshold: 0.5}
targets:
  - {name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}
attacks:
  - {base: i, epsilon: 8/255, steps: 2}
resources: {placement: in-process, batch: 4}
"""


class Heard(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def faces(folder: Path) -> Path:
    """Write a job with 16 pairs over 8 images, two of which are broken; 9 pairs are left."""
    (folder / "faces").mkdir()
    draws = np.random.default_rng(0)
    for number in range(8):
        pixels = draws.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "faces" / f"{number}.png")
    for number in (3, 5):
        (folder / "faces" / f"{number}.png").write_bytes(b"")
    rows = [f"{n % 8}.png,{(n + 1 + n // 8) % 8}.png,{n % 2}" for n in range(16)]
    (folder / "pairs.csv").write_text("\n".join(["file_a,file_b,same", *rows]))
    path = folder / "job.yaml"
    path.write_text(JOB)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("left-out")
    heard = Heard()
    launch(load(faces(folder)), str(folder / "run"), progress=heard)
    return folder / "run", heard.notes


def thresholds(run: Path) -> dict[str, ThresholdRecord]:
    found = results.manifest(str(run)).thresholds
    assert found is not None
    return found


def test_a_threshold_from_fewer_pairs_says_so(run: tuple[Path, list[str]]) -> None:
    folder, notes = run
    assert (
        "thresholds: 7 of 16 pairs left out; images that did not decode, in `failures`: 2 "
        "(3.png, 5.png)" in notes
    )
    assert any(note.startswith("t0: threshold") and "from 9 of 16 pairs" in note for note in notes)
    entry = thresholds(folder)["t0"]
    assert (entry.pairs, entry.pairs_listed) == (9, 16)
    failures = results.read(str(folder), "failures")
    broken = failures[failures["stage"] == "threshold"]
    assert broken["example"].tolist() == ["3.png", "5.png"]
    assert broken["reason"].str.contains("the file is empty; its pairs give no threshold").all()
    report = CliRunner().invoke(app, ["report", str(folder)]).output
    for text in (report, page(Figures(Reading(str(folder))))):
        assert f"t0: threshold {entry.threshold:.4f} from 9 of 16 pairs" in text


def test_a_threshold_found_before_says_so_too(run: tuple[Path, list[str]], tmp_path: Path) -> None:
    heard = Heard()
    launch(load(faces(tmp_path)), str(tmp_path / "run"), progress=heard)
    (note,) = [note for note in heard.notes if note.startswith("t0: threshold")]
    assert "from 9 of 16 pairs, found before" in note
    assert thresholds(tmp_path / "run")["t0"] == thresholds(run[0])["t0"]
    assert (results.read(str(tmp_path / "run"), "failures")["stage"] == "threshold").sum() == 2


def test_examples_that_do_not_decode_are_named(run: tuple[Path, list[str]]) -> None:
    assert "2 inputs set aside in `failures` (2.png|3.png, 4.png|5.png)" in run[1]


def labelled(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write a job on labelled files; network 2 is right about all of them, labels from 1."""
    names = [f"{number}.png" for number in range(6)]
    path = tiny.write(folder, *changes)
    (folder / "set").mkdir()
    images = np.load(folder / "images.npz")["images"][:6]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / "set" / name)
    right = tiny.network(2)(torch.tensor(images).permute(0, 3, 1, 2) / 255).argmax(1) + 1
    rows = [f"{name},{label}" for name, label in zip(names, right.tolist(), strict=True)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    return path


def test_labels_from_one_are_right_with_select(tmp_path: Path) -> None:
    data = "data: {source: folder, root: set, labels: labels.csv, classes: 5, labels_from: 1}"
    select = f"{data}\nselect: {{correct: targets}}"
    path = labelled(tmp_path, ("data: {source: npz, path: images.npz}", select))
    launch(load(path), str(tmp_path / "run"))
    verdicts = results.read(str(tmp_path / "run"), "verdicts")
    assert len(verdicts) == 6
    assert verdicts["clean_correct"].all()


def test_the_first_lines_and_the_manifest_tell_the_data(tmp_path: Path) -> None:
    grow(tmp_path / "set", "a/1.png", "b/1.png", "b/1.heic", "b/raw")
    data = "data: {source: folder, root: set, size: [8, 8]}"
    path = tiny.write(tmp_path, ("data: {source: npz, path: images.npz}", data))
    heard = Heard()
    launch(load(path), str(tmp_path / "run"), progress=heard)
    said = [note for note in heard.notes if note.startswith("data: ")]
    assert said[0] == "data: 2 examples from folder; labels 0 to 1, 2 of 2 classes; images 8 x 8"
    left_out = "left out: 1 without suffix (b/raw); 1 with suffix .heic (b/1.heic)"
    assert said[-1] == f"data: {left_out}"
    record = results.manifest(str(tmp_path / "run")).data
    assert record is not None
    assert record.left_out == {"without suffix": 1, "with suffix .heic": 1}
    assert (record.examples, record.held, record.labels) == (2, 2, (0, 1))
    failures = results.read(str(tmp_path / "run"), "failures")
    assert sorted(failures["reason"]) == [
        "left out: 1 with suffix .heic (b/1.heic)",
        "left out: 1 without suffix (b/raw)",
    ]
    result = CliRunner().invoke(app, ["check", str(path)])
    assert f"data: {left_out}" in result.output
    assert "data: 2 examples from folder; labels 0 to 1" in result.output
