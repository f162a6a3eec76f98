"""The manifest: what is written is read back, and no content of the file ends in a traceback."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.page import page
from gauntlet.pipeline.data.account import Account, LeftOut
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import RunFolder, records
from gauntlet.pipeline.results.manifest import (
    Manifest,
    ModelCard,
    ProbeRecord,
    ThresholdRecord,
    UnitsRecord,
)
from gauntlet.pipeline.results.reading import Reading
from tests.toys.manifests import manifest
from tests.toys.reports import write_run

CARD = ModelCard(
    name="s0", fingerprint="ab", weights="cd", preprocessing="8x8", randomised=False, folded=True,
    device="cpu", adversarial=None,
)  # fmt: skip
HUGE = 10**400


def full() -> Manifest:
    return manifest(
        models={"surrogate/s0": CARD},
        data=Account(held=3, labels=(0, 4), present=2, classes=5).record(2),
        thresholds={"s0": ThresholdRecord(source="LFW protocol", pairs=9, threshold=0.5)},
        probe=ProbeRecord(models={}, warnings=["doubtful"]),
        finished="2026-01-01T00:00:01+0000",
        units=UnitsRecord(done=2, failed=0),
    )


def test_what_is_written_is_read_back() -> None:
    assert Manifest.model_validate_json(full().text()) == full()
    assert "seconds" not in json.loads(full().text())  # not known, not written


def test_what_another_version_added_stays() -> None:
    written = json.loads(full().text())
    written["colour"] = {"of": ["the", 1]}
    written["models"]["surrogate/s0"]["colour"] = "red"
    old = written["models"]["surrogate/s0"]
    del old["adversarial"], written["probe"]
    read = Manifest.model_validate_json(json.dumps(written))
    assert read.warnings == []
    assert read.models["surrogate/s0"].adversarial is None
    assert json.loads(read.text()) == written
    resumed = read.taken_up(manifest(placement="elsewhere", started="later"))
    assert json.loads(resumed.text()) == written | {"placement": "elsewhere", "models": {}}


def test_names_that_are_no_text_are_written_out(tmp_path: Path) -> None:
    odd = os.fsdecode(b"with suffix .\xff")
    account = Account(left_out=(LeftOut(odd, 1, ("a",)),), notes=(odd,))
    folder = RunFolder(str(tmp_path))
    folder.write("manifest.json", manifest(data=account.record(1)).text())
    data = records.manifest(folder).data
    assert data is not None
    assert data.left_out == {r"with suffix .\xff": 1}
    assert data.notes == [r"with suffix .\xff"]


@pytest.mark.parametrize(
    ("where", "value", "place"),
    [
        ("name", 3, "name"),
        ("seed", "0", "seed"),
        ("seed", True, "seed"),
        ("evaluate", [], "evaluate"),
        ("attacks", {"attack": "i"}, "attacks"),
        ("attacks", [{"attack": "i"}], "attacks.0.base"),
        ("attacks.0.attack", None, "attacks.0.attack"),
        ("attacks.0.steps", 2.5, "attacks.0.steps"),
        ("models.surrogate/s0", {}, "models.surrogate/s0.name"),
        ("models.surrogate/s0.fingerprint", 12, "models.surrogate/s0.fingerprint"),
        ("data.labels", [0], "data.labels.1"),
        ("data.left_out", {"x": -1}, "data.left_out.x"),
        ("thresholds.s0.threshold", "high", "thresholds.s0.threshold"),
        ("thresholds.s0.pairs", HUGE, "thresholds.s0.pairs"),
        ("thresholds.s0.accuracy", float("nan"), "thresholds.s0.accuracy"),
        ("probe", 3, "probe"),
        ("probe.warnings", "all", "probe.warnings"),
        ("probe.warnings", [["x"]], "probe.warnings.0"),
        ("units", {"done": "2"}, "units.done"),
        ("units.done", HUGE, "units.done"),
        ("units.failed", -1, "units.failed"),
        ("seconds", HUGE, "seconds"),
        ("software", {"torch": 2.6}, "software.torch"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_damage_is_named_by_its_place(tmp_path: Path, where: str, value: Any, place: str) -> None:
    written = json.loads(full().text())
    *outer, last = where.split(".")
    inner = written
    for key in outer:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[last] = value
    (tmp_path / "manifest.json").write_text(json.dumps(written))
    with pytest.raises(BadInput) as caught:
        records.manifest(RunFolder(str(tmp_path)))
    (problem,) = caught.value.problems
    assert problem.where == f"{tmp_path}/manifest.json"
    assert problem.what.startswith(f"damaged, or of another version ({place}: ")
    assert problem.what.endswith(f"delete it, and `gauntlet resume {tmp_path}` writes it anew")
    assert len(problem.what) < 300
    assert "\n" not in problem.what


@pytest.mark.parametrize("digits", [20, 5_000, 50_000])
@pytest.mark.parametrize("field", ["seed", "more"])
def test_numbers_of_any_length_end_in_no_traceback(tmp_path: Path, field: str, digits: int) -> None:
    folder = write_run(tmp_path / "run", steps=1)
    path = folder / "manifest.json"
    text = path.read_text().rstrip("}\n ")
    path.write_text(f'{text}, "{field}": {"9" * digits}}}')
    try:
        read = records.manifest(RunFolder(str(folder)))
    except BadInput:
        return  # which `test_damage_is_named_by_its_place` looks at
    assert "<h1>made-up</h1>" in page(Figures(Reading(str(folder))))
    assert "9" * digits in read.text().decode()
