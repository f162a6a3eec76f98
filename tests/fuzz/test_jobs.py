"""Job files, sound ones changed: a plan, or what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gauntlet import jobs
from gauntlet.jobs.spec.checks.inspection import WITHOUT_MODELS
from gauntlet.jobs.spec.loading import load, open_job
from tests.fuzz.inputs import edited, edits, fuzzed, mutated, mutations, read
from tests.toys.runs import job

BUNDLED = sorted((Path(jobs.__file__).parent / "bundled").rglob("*.yaml"))
EVERYTHING = job(
    select={"correct": "all", "limit": 24},
    attacks=[
        {"base": "mi", "combine": "svre", "epsilon": "8/255", "steps": 4},
        {"grid": {"base": ["i", "di-ti-mi"], "combine": ["ens", "rgea"]}, "steps": 3},
    ],
    evaluate={"steps": [1, 2], "traces": False, "interactions": {"grid": 4}},
    output="runs",
    seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("jobs")
    (made / "elsewhere").mkdir()
    (made / "elsewhere" / "evil.py").write_text("def make():\n    raise SystemExit('run')\n")
    (made / "job").mkdir()
    return made


def written(folder: Path, text: bytes) -> Path:
    path = folder / "job" / "job.yaml"
    path.write_bytes(text)
    return path


def test_the_sound_job_is_accepted(folder: Path) -> None:
    assert len(load(written(folder, yaml.safe_dump(EVERYTHING).encode())).attacks) == 5


@fuzzed
@given(mutations, st.sampled_from([None, "../elsewhere"]))
def test_any_part_of_a_job(
    folder: Path, changes: list[tuple[str, int, int, Any]], root: str | None
) -> None:
    sound = EVERYTHING | ({"root": root} if root else {})
    path = written(folder, yaml.safe_dump(mutated(sound, changes)).encode())
    read("job file, a part", folder, lambda: load(path))


@fuzzed
@given(st.sampled_from(BUNDLED), mutations)
def test_any_part_of_a_bundled_job(
    folder: Path, bundled: Path, changes: list[tuple[str, int, int, Any]]
) -> None:
    content = yaml.safe_load(bundled.read_text())
    content["root"] = str(bundled.parent / content.get("root", "."))
    path = written(folder, yaml.safe_dump(mutated(content, changes)).encode())
    read("job file, bundled", folder, lambda: open_job(path, (), (), WITHOUT_MODELS))


@fuzzed
@given(st.sampled_from(BUNDLED), edits)
def test_any_text_of_a_job(
    folder: Path, bundled: Path, changes: list[tuple[str, int, int]]
) -> None:
    path = written(folder, edited(bundled.read_bytes(), changes))
    read("job file, text", folder, lambda: open_job(path, (), (), WITHOUT_MODELS))
