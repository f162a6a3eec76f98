"""What travels with a submitted job, and what is too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from gauntlet.jobs.cluster import parcel
from gauntlet.pipeline.problems import BadInput


def write(path: Path, content: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_runs_environments_keys_and_version_control_stay_behind(tmp_path: Path) -> None:
    for name in ("job.yaml", "data/images.npz", "runs/one/plan.json", "runs/one/verdicts/a.parquet",
                 "runs/two/record/000000.json", ".git/HEAD", ".venv/bin/python",
                 ".env", "nets/.env", ".aws/credentials",
                 "nets/__pycache__/n.pyc", "nets/n.py", ".gitignore"):  # fmt: skip
        write(tmp_path / name)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with parcel.packed(tmp_path, []) as (folder, there):
        assert names(folder) == {
            *("job.yaml", "data/images.npz", "nets/n.py", ".gitignore", parcel.ENTRY)
        }
        assert there == []
    assert not folder.exists()


def test_code_that_may_run_comes_along_from_wherever_it_is(tmp_path: Path) -> None:
    write(tmp_path / "work" / "own" / "a.py")
    write(tmp_path / "elsewhere" / "b.py")
    allowed = [f"{tmp_path}/work/own", f"{tmp_path}/elsewhere", "package.inside"]
    with parcel.packed(tmp_path / "work", allowed) as (folder, there):
        assert there == ["./own", "./gauntlet_imports/0", "package.inside"]
        assert (folder / there[0] / "a.py").exists()
        assert (folder / there[1] / "b.py").exists()


def test_a_folder_that_is_too_large_is_refused_with_its_largest_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "LIMIT", 2**20)
    write(tmp_path / "data" / "large.bin", "x" * 3 * 2**20)
    write(tmp_path / "runs" / "one" / "plan.json", "x" * 3 * 2**20)
    with pytest.raises(
        BadInput, match=r"takes at least 3 MB, more than the 1 MB .*\(data 3 MB, runs 0 MB\)"
    ):
        parcel.packed(tmp_path, []).__enter__()


def test_what_links_lead_to_is_counted_and_links_upwards_stay_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "far" / "large.bin", "x" * 3 * 2**20)
    write(tmp_path / "work" / "sub" / "a.py")
    (tmp_path / "work" / "sub" / "up").symlink_to("..")
    (tmp_path / "work" / "sub" / "data").symlink_to(tmp_path / "far")
    with parcel.packed(tmp_path / "work", []) as (folder, _):
        assert names(folder) == {"sub/a.py", "sub/data/large.bin", parcel.ENTRY}
    monkeypatch.setattr(parcel, "LIMIT", 2**20)
    with pytest.raises(BadInput, match=r"sub 3 MB"):
        parcel.packed(tmp_path / "work", []).__enter__()


def test_allowed_code_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--allow-imports: /nope/x: no such folder"):
        parcel.packed(tmp_path, ["/nope/x"]).__enter__()
