"""Which runs have a mean over seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gauntlet.actors.launch import launch
from gauntlet.jobs.reports.seeds import over_runs
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.unit import UnitRows
from tests.toys.jobs import plan


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    folders = [str(tmp_path / f"run-{seed}") for seed in (0, 1)]
    for seed, folder in enumerate(folders):
        launch(plan(tmp_path).model_copy(update={"seed": seed}), folder)
    return folders


def test_a_run_with_units_missing_is_refused(runs: list[str]) -> None:
    assert set(over_runs(runs)["runs"]) == {2}
    next(Path(runs[1], "verdicts").glob("*.parquet")).unlink()
    with pytest.raises(BadInput) as caught:
        over_runs(runs)
    what = f"{runs[1]}: is not finished; go on with `gauntlet resume {runs[1]}`"
    assert [str(problem) for problem in caught.value.problems] == [what]


def test_an_interrupted_run_is_refused(runs: list[str]) -> None:
    path = Path(runs[0], "manifest.json")
    manifest = json.loads(path.read_text())
    del manifest["finished"], manifest["units"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="run-0: is not finished; go on with `gauntlet resume "):
        over_runs(runs)
    path.unlink()
    with pytest.raises(BadInput, match="run-0: is not finished"):
        over_runs(runs)


def test_a_run_with_failed_units_is_refused(
    tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = UnitRows.of
    written: list[Any] = []

    def only_the_first(self: UnitRows, unit: Any) -> Any:
        if written:
            raise RuntimeError("no memory left")
        written.append(unit)
        return rows(self, unit)

    monkeypatch.setattr(UnitRows, "of", only_the_first)
    failed = str(tmp_path / "failed")
    launch(plan(tmp_path).model_copy(update={"seed": 2}), failed)
    what = "failed: 1 units of work failed; try them again with `gauntlet resume .*failed`"
    with pytest.raises(BadInput, match=what):
        over_runs([*runs, failed])
    monkeypatch.undo()
    launch(plan(tmp_path).model_copy(update={"seed": 2}), failed, resume=True)
    assert set(over_runs([*runs, failed])["runs"]) == {3}
