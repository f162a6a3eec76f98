"""What a person is told of the data before anything is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import header_of
from gauntlet.pipeline.data.described import described
from tests.toys.datasets import grow, opened, write_image, write_npz, write_text

UNTARGETED = Goal.UNTARGETED


def lines(root: Path, goal: Goal = UNTARGETED, /, **fields: Any) -> list[str]:
    return described(opened(root, goal, **fields), str(fields["source"]))


def test_counts_labels_classes_and_sizes(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", 12, labels=np.arange(12) % 4 + 2, classes=np.arange(7))
    fields = {"source": "npz", "path": "set.npz"}
    assert lines(tmp_path, **fields) == [
        "12 examples from npz; labels 2 to 5, 4 of 7 classes; images 4 x 5"
    ]
    assert lines(tmp_path, **fields, limit=5)[0].startswith("5 examples from npz (of 12); labels 2")


def test_labels_without_a_zero_are_pointed_out(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", labels=np.arange(6) % 3 + 1)
    fields = {"source": "npz", "path": "set.npz"}
    hint = "no label is 0: if the first class is 1, set `labels_from: 1`"
    assert hint in lines(tmp_path, **fields)
    assert hint not in lines(tmp_path, **fields, labels_from=1)


def test_files_are_looked_at_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    root = tmp_path / "set"
    grow(root, "a/1.png", "a/2.png", "b/1.png", "b/2.heic")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (8, 6)).save(root / "a" / "3.jpg", exif=turned)
    frames = [Image.new("L", (5, 4), shade) for shade in (0, 255)]
    frames[0].save(root / "b" / "4.gif", save_all=True, append_images=frames[1:])
    (root / "b" / "5.png").write_bytes(b"")
    said = lines(tmp_path, source="folder", root="set", size=(4, 5))
    assert said == [
        "6 examples from folder; labels 0 to 1, 2 of 2 classes; images 4 x 5",
        "of 6 files looked at, 4 are 4 x 5 (height x width), 1 other sizes",
        "of 6 files looked at, 1 have no header of an image in a known format",
        "of 6 files looked at, 1 are stored turned (EXIF); they are taken as stored",
        "of 6 files looked at, 1 hold several pictures; the first is taken",
        "left out: 1 with suffix .heic (b/2.heic)",
    ]
    loaded = opened(tmp_path, UNTARGETED, source="folder", root="set", size=(4, 5)).load(range(6))
    assert loaded.batch is not None
    assert "b/4.gif" in loaded.batch.ids
    assert [item.id for item in loaded.rejected] == ["b/5.png"]


def test_a_size_that_all_files_have_is_said_once(tmp_path: Path) -> None:
    grow(tmp_path / "set", "a/1.png", "b/1.png")
    assert lines(tmp_path, source="folder", root="set") == [
        "2 examples from folder; labels 0 to 1, 2 of 2 classes; images 4 x 5"
    ]


def test_pairs_are_counted_by_kind(tmp_path: Path) -> None:
    write_npz(tmp_path / "faces.npz", labels=None)
    write_text(tmp_path / "pairs.csv", "index_a,index_b,same", "0,1,1", "0,2,0", "1,3,0")
    fields = {"source": "pairs", "images": "faces.npz", "pairs": "pairs.csv", "folds": 2}
    assert lines(tmp_path, Goal.IMPERSONATION, **fields) == [
        "2 examples from pairs; 1 pairs of one person and 2 of different people; images 4 x 5"
    ]


def test_cmyk_palette_and_headers(tmp_path: Path) -> None:
    for name, mode in (("a.jpg", "CMYK"), ("b.png", "P"), ("c.tif", "CMYK")):
        path = write_image(tmp_path / "set" / "x" / name, 6, 7, mode)
        header = header_of(path)
        assert header is not None
        assert (header.size, header.turned, header.frames) == ((6, 7), False, 1)
    batch = opened(tmp_path, UNTARGETED, source="folder", root="set").load(range(3)).batch
    assert batch is not None
    assert batch.images.shape == (3, 3, 6, 7)
