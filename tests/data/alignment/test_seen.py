"""Whether a person's images are aligned faces can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.alignment.seen import look_for_faces
from gauntlet.pipeline.data.examples import Examples
from tests.toys.datasets import opened, write_image, write_text


def of_pairs(folder: Path, names: list[str]) -> Examples:
    lines = [
        f"{one} {two} {number % 2}"
        for number, (one, two) in enumerate(zip(names, names[1:] + names[:1], strict=True))
    ]
    write_text(folder / "pairs.txt", *lines)
    size, pairs = (112, 112), str(folder / "pairs.txt")
    return opened(
        folder, Goal.IMPERSONATION, source="pairs", images=".", pairs=pairs, size=size, folds=2
    )


@pytest.mark.parametrize("aligned", [True, False])
def test_faces_where_aligned_ones_lie_and_elsewhere(
    aligned: bool, data_root: Path, tmp_path: Path
) -> None:
    with np.load(data_root / "orl-faces-112.npz") as archive:
        images = archive["images"][[0, 10, 20, 30]]
    for number, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        if not aligned:
            canvas = Image.new("RGB", (250, 250), (128, 128, 128))
            canvas.paste(image, (40, 90))
            image = canvas
        image.save(tmp_path / f"{number}.png")
    seen = look_for_faces(of_pairs(tmp_path, [f"{number}.png" for number in range(4)]), 64)
    assert str(seen).startswith("of 4 images looked at, a face was found in 4; eyes, nose and mou")
    assert ("see `gauntlet data align`" in str(seen)) is not aligned
    assert seen.aligned >= 3 if aligned else seen.aligned == 0


def test_images_without_faces(tmp_path: Path) -> None:
    for number in range(4):
        write_image(tmp_path / f"{number}.png", 40, 40)
    seen = look_for_faces(of_pairs(tmp_path, [f"{number}.png" for number in range(4)]), 3)
    expected = "of 3 images looked at, a face was found in 0: these seem to be no aligned faces, "
    assert str(seen) == expected + "see `gauntlet data align`"
