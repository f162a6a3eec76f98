"""A folder of photographs becomes one of aligned faces, however often it is tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauntlet.pipeline.data.alignment.folder import MISSED, NO_FACE, align_folder
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from tests.toys.datasets import write_image

SIZE = (112, 112)


@pytest.fixture(scope="module")
def faces(data_root: Path) -> np.ndarray:
    with np.load(data_root / "orl-faces-112.npz") as archive:
        return np.asarray(archive["images"][[0, 10, 20]])


def photograph(pixels: np.ndarray, path: Path, degrees: float = 12, turned: bool = False) -> Path:
    """A face on a grey canvas, turned about the middle; on its side if the camera was."""
    canvas = Image.new("RGB", (300, 260), (128, 128, 128))
    canvas.paste(Image.fromarray(pixels).resize((140, 140)), (90, 50))
    canvas = canvas.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if turned:  # orientation 6: to be shown a quarter to the right of how it is stored
        exif[0x0112], canvas = 6, canvas.transpose(Image.Transpose.ROTATE_90)
    canvas.save(path, quality=95, exif=exif)
    return path


def align(root: Path, out: Path, size: tuple[int, int] = SIZE, workers: int = 1) -> str:
    return str(align_folder(root, out, size, workers, Silent()))


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_faces_are_aligned_and_what_is_none_is_listed(faces: np.ndarray, tmp_path: Path) -> None:
    root, out = tmp_path / "people", tmp_path / "aligned"
    photograph(faces[0], root / "ann" / "1.jpg")
    photograph(faces[1], root / "bob" / "1.jpeg", turned=True)
    Image.new("RGB", (80, 80), "gray").save(root / "bob" / "wall.png")
    (root / "bob" / "torn.jpg").write_bytes((root / "ann" / "1.jpg").read_bytes()[:2000])
    (root / "pairs.txt").write_text("2\n")
    said = align(root, out)
    assert said.startswith("2 faces aligned; 1 not (")
    assert files(out) == {"ann/1.png", "bob/1.png", MISSED}
    header, torn, wall = (out / MISSED).read_text().splitlines()
    assert header == "file,reason"
    assert torn.startswith("bob/torn.jpg,broken or truncated image")
    assert wall == f"bob/wall.png,{NO_FACE}"
    # What came out shows the faces as they were: neighbours' differ by several times as much.
    for name, pixels in (("ann", faces[0]), ("bob", faces[1])):
        found = np.asarray(Image.open(out / name / "1.png"), float)[20:100, 20:92]
        other = faces[2][20:100, 20:92].astype(float)
        assert np.abs(found - pixels[20:100, 20:92]).mean() < 0.5 * np.abs(found - other).mean()


def test_what_is_done_is_not_done_again_and_remains_are_removed(
    faces: np.ndarray, tmp_path: Path
) -> None:
    root, out = tmp_path / "people", tmp_path / "aligned"
    for number, pixels in enumerate(faces[:2]):
        photograph(pixels, root / f"{number}.jpg")
    write_image(root / "wall.png", 60, 60)
    assert align(root, out, (112, 96)) == f"2 faces aligned; 1 not ({NO_FACE})"
    first = out / "0.png"
    assert Image.open(first).size == (96, 112)
    before = first.stat().st_mtime_ns
    (out / "1.png").unlink()
    (out / ".1.png.77.aligning").write_bytes(b"half")  # of a process that was killed
    (root / "wall.png").unlink()
    assert align(root, out, (112, 96)) == "1 face aligned, 1 had been before"
    assert first.stat().st_mtime_ns == before
    assert files(out) == {"0.png", "1.png"}
    with pytest.raises(
        BadInput, match=r"0\.png is 112 x 96, and 112 x 112 is wanted: choose anoth"
    ):
        align(root, out)


@pytest.mark.slow
def test_processes_make_the_same_files_as_one(faces: np.ndarray, tmp_path: Path) -> None:
    root = tmp_path / "people"
    for number, pixels in enumerate(faces):
        photograph(pixels, root / str(number) / "a.png", degrees=5.0 * number)
    write_image(root / "wall.png", 60, 60)
    said = {align(root, tmp_path / str(workers), workers=workers) for workers in (1, 2)}
    assert said == {f"3 faces aligned; 1 not ({NO_FACE})"}
    one, two = tmp_path / "1", tmp_path / "2"
    assert files(one) == files(two)
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files(one))


def test_bad_folders_are_refused_in_a_line(tmp_path: Path) -> None:
    root = tmp_path / "people"
    with pytest.raises(BadInput, match=f"^DIR: no such folder: {root}$"):
        align(root, tmp_path / "out")
    root.mkdir()
    (root / "notes.txt").write_text("")
    with pytest.raises(BadInput, match=f"^DIR: no image files below {root}$"):
        align(root, tmp_path / "out")
    write_image(root / "a.jpg")
    for out in (root, root / "aligned", tmp_path):
        with pytest.raises(BadInput, match="lie in each other: choose another folder"):
            align(root, out)
    write_image(root / "a.png")
    with pytest.raises(BadInput, match=r"^DIR: a.jpg, a.png would both be .*a.png: rename one"):
        align(root, tmp_path / "out")
    (root / "a.png").unlink()
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"^OUT: .*file: (File exists|Not a directory)"):
        align(root, tmp_path / "file")


def test_an_interrupted_call_leaves_no_half_file(faces: np.ndarray, tmp_path: Path) -> None:
    root, out = tmp_path / "people", tmp_path / "aligned"
    for number in range(3):
        photograph(faces[0], root / f"{number}.jpg")

    class Impatient(Silent):
        def advance(self, name: str, count: int) -> None:
            if count:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        align_folder(root, out, SIZE, 1, Impatient())
    assert files(out) == {"0.png"}
    assert align(root, out) == "2 faces aligned, 1 had been before"
