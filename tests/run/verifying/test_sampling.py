"""Units done once more: a change that keeps every checksum is found, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gauntlet.actors.launch import launch
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.run.verifying.checking import check
from gauntlet.pipeline.run.verifying.sampling import Recomputed, drawn, recompute
from tests.toys.jobs import attacks, plan
from tests.toys.parts import left_in_parts
from tests.toys.remade import column, remade

TWO = "  - {base: i, epsilon: 8/255, steps: 1}\n  - {base: mi, epsilon: 8/255, steps: 2}"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    launch(plan(folder, attacks(TWO)), str(folder / "run"))
    return folder / "run"


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def again(run: Path, count: int = 4, key: int = 0) -> Recomputed:
    folder = RunFolder(str(run))
    found = check(folder, Silent())
    assert found.problems == []
    return recompute(folder, found.sound, count, key, granted(), Silent())


def changed(run: Path, table: str, name: str, change: Any) -> Path:
    def rows(of: str, rows: pa.Table) -> pa.Table:
        return column(rows, name, change) if of == table else rows

    return remade(run, rows=rows)


def flip_a_bit(images: list[bytes]) -> None:
    images[0] = bytes([images[0][0] ^ 1, *images[0][1:]])


def test_a_sound_run_is_computed_again_to_the_last_bit(sound: Path, tmp_path: Path) -> None:
    found = again(sound)
    assert found.faults == []
    assert found.of == 4
    assert [(unit.images, unit.changed, unit.largest) for unit in found.units] == [(4, 0, 0.0)] * 4
    assert found.circumstances == ()
    every = ("resources:", "evaluate: {steps: all, quantize: false}\nresources:")
    with left_in_parts():
        launch(plan(tmp_path, attacks(TWO), every), str(tmp_path / "run"))
    found = again(tmp_path / "run", count=2)
    assert found.faults == []
    assert len(found.units) == 2


def test_a_flipped_bit_behind_a_record_made_anew(run: Path) -> None:
    changed(run, "examples", "image", flip_a_bit)
    found = again(run)
    (problem,) = found.faults
    assert problem.what == ("images: 1 of 4 differ (images/0: 1 of 192 values, by up to 1 levels)")
    assert problem.where.endswith("(i/ens/linf-8)")
    assert sorted(unit.changed for unit in found.units) == [0, 0, 0, 1]


def test_scores_are_compared_within_a_tolerance(run: Path) -> None:
    def nudge(by: float) -> Any:
        return lambda scores: scores.__setitem__(0, scores[0] + by)

    changed(run, "verdicts", "score", nudge(1e-6))
    found = again(run)
    assert found.faults == []
    assert max(unit.largest for unit in found.units) == pytest.approx(1e-6, rel=1e-3)
    changed(run, "verdicts", "score", nudge(1e-2))
    (problem,) = again(run).faults
    assert problem.what.startswith("verdicts.score: 1 of 4 differ (images/0: ")
    changed(run, "verdicts", "prediction", lambda found: found.__setitem__(1, 77))
    assert any("verdicts.prediction: 1 of 4" in str(found) for found in again(run).faults)


def test_a_larger_sample_has_the_smaller_ones_and_another_key_draws_others() -> None:
    units = [f"{number:020x}" for number in range(50)]
    assert drawn(units, 20, key=0)[:5] == drawn(units, 5, key=0)
    assert drawn(units[::-1], 5, key=0) == drawn(units, 5, key=0)
    assert drawn(units, 5, key=1) != drawn(units, 5, key=0)
    assert len(drawn(units, 99, key=0)) == 50


def edit_manifest(run: Path, change: Any) -> None:
    path = run / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_other_weights_are_refused(run: Path) -> None:
    edit_manifest(run, lambda found: found["models"]["target/t0"].update(fingerprint="other"))
    with pytest.raises(BadInput, match="target/t0 changed since"):
        again(run, count=1)


def test_what_is_another_here_is_said(run: Path) -> None:
    def elsewhere(found: dict[str, Any]) -> None:
        found["software"]["torch"] = "2.0.0"
        for card in found["models"].values():
            card["hardware"] = "NVIDIA H200"

    edit_manifest(run, elsewhere)
    torch, hardware = again(run, count=1).circumstances
    assert torch.startswith("torch 2.0.0 then, ")
    assert hardware.startswith("hardware NVIDIA H200 then, CPU with ")
