"""The face that counts, on real photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gauntlet.pipeline.data.alignment import finder
from gauntlet.pipeline.data.alignment.finder import FaceFinder
from gauntlet.pipeline.data.alignment.template import template
from gauntlet.pipeline.problems import BadInput


@pytest.fixture(scope="module")
def faces(data_root: Path) -> np.ndarray:
    with np.load(data_root / "orl-faces-112.npz") as archive:
        return np.asarray(archive["images"][[0, 10, 20]])


@pytest.fixture(scope="module")
def mtcnn() -> FaceFinder:
    return FaceFinder()


def test_landmarks_of_an_aligned_face_lie_at_the_template(
    faces: np.ndarray, mtcnn: FaceFinder
) -> None:
    face = mtcnn.find(Image.fromarray(faces[0]))
    assert face is not None
    assert np.linalg.norm(face.points - template((112, 112)), axis=1).mean() < 6


def test_of_several_faces_the_one_in_the_middle_counts_unless_another_is_larger(
    faces: np.ndarray, mtcnn: FaceFinder
) -> None:
    one, two, _ = (Image.fromarray(pixels) for pixels in faces)
    canvas = Image.new("RGB", (500, 300), (128, 128, 128))
    canvas.paste(one, (194, 94))
    canvas.paste(two, (10, 10))
    middle = mtcnn.find(canvas)
    assert middle is not None
    assert np.abs(middle.points.mean(0) - (250, 166)).max() < 10
    canvas.paste(two.resize((280, 280)), (0, 10))
    larger = mtcnn.find(canvas)
    assert larger is not None
    assert larger.points[:, 0].max() < 280


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (500, 400)])
def test_where_no_face_is_none_is_found(size: tuple[int, int], mtcnn: FaceFinder) -> None:
    assert mtcnn.find(Image.new("RGB", size, "gray")) is None
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert mtcnn.find(Image.fromarray(noise)) is None


def test_missing_weights_are_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: str, *_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr("facenet_pytorch.models.mtcnn.torch.load", gone)
    with pytest.raises(BadInput) as refused:
        finder.FaceFinder()
    (problem,) = refused.value.problems
    assert "pnet.pt" in str(problem)
    assert "pip install --force-reinstall facenet-pytorch" in str(problem)
