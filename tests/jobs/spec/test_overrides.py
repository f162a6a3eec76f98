from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.jobs.spec.loading import load, open_job
from gauntlet.pipeline.models.defences.jpeg import Jpeg
from gauntlet.pipeline.problems import BadInput
from tests.toys.jobs import attacks, write


def messages(path: Path, *changes: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load(path, changes)
    return [str(problem) for problem in caught.value.problems]


def test_values_lists_and_new_sections(tmp_path: Path) -> None:
    found = load(
        write(tmp_path),
        [
            "resources.batch=16",
            "attacks.0.steps=5",
            "attacks[0].epsilon=4/255",
            "select.limit=3",
            "targets.0.defence={kind: jpeg, quality: 60}",
            "name=other",
        ],
    )
    assert found.resources.batch == 16
    assert found.attacks[0].steps == 5
    assert found.attacks[0].epsilon == pytest.approx(4 / 255)
    assert found.select.limit == 3
    assert isinstance(found.targets[0].defence, Jpeg)
    assert found.targets[0].defence.quality == 60
    assert found.name == "other"


def test_later_changes_win(tmp_path: Path) -> None:
    found = load(write(tmp_path), ["seed=1", "seed=2"])
    assert found.seed == 2


def test_output_and_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    # In the file `root` is relative to the file; on the command line, to the working directory.
    tests = ["tests"]
    assert load(path, allowed=tests).root == tmp_path
    assert load(path, ["root=.."], tests).root == tmp_path
    assert open_job(path, ["output=s3://bucket/x"], tests).output == "s3://bucket/x"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("resources.bacth=3", "--set resources.bacth: unknown key 'bacth'; did you mean 'batch'?"),
        ("resorces.batch=3", "--set resorces.batch: "),
        ("resources.batch=many", "--set resources.batch: expected a whole number, got 'many'"),
        ("attacks.3.steps=5", "--set attacks.3.steps: attacks has 1 entries; expected a position "),
        ("attacks.steps=5", "--set attacks.steps: attacks is a list; write a position"),
        ("name.x=5", "--set name.x: name is 'tiny', which has no fields to set"),
        ("attacks.0.bse=mi", "--set attacks.0.bse: unknown key 'bse'; did you mean 'base'"),
        ("attacks.0.options.di.p=1", "--set attacks.0.options.di.p: "),
        ("targets.0={like: s9}", "--set targets.0: targets[0].like: unknown model 's9'"),
        ("seed", "--set seed: expected KEY.PATH=VALUE"),
        ("=3", "--set =3: expected KEY.PATH=VALUE"),
        ("seed=[1", "--set seed: cannot read '[1'"),
    ],
)
def test_wrong_changes(tmp_path: Path, change: str, expected: str) -> None:
    found = messages(write(tmp_path), change)
    assert len(found) == 1, found
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("attacks.0.steps=5", "attacks is one mapping; write attacks.steps=..."),
        ("attacks[0].grid.base=[i]", "attacks is one mapping; write attacks.grid.base=..."),
        ("attacks.0={base: i}", "attacks is one mapping; write attacks=..."),
    ],
)
def test_a_lone_mapping_has_no_positions(tmp_path: Path, change: str, what: str) -> None:
    path = write(tmp_path, attacks("  base: i\n  steps: 2"))
    assert messages(path, change) == [f"--set {change.partition('=')[0]}: {what}"]
    assert load(path, ["attacks.steps=5"]).attacks[0].steps == 5


def test_all_wrong_changes_are_reported_together(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert len(messages(path, "seed", "x=[")) == 2
    assert len(messages(path, "name.x=1", "attacks.9.steps=1")) == 2
    assert len(messages(path, "seed=x", "resources.batch=0")) == 2
