"""What a submitted job starts with says whether the Gauntlet there is the one that sent it."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from gauntlet.jobs.cluster import entry

HERE = metadata.version("gauntlet")


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "entry.py").write_text(Path(entry.__file__).read_text())
    command = [sys.executable, "entry.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("wanted", [HERE, "99.1"])
def test_another_version_is_refused_and_the_same_runs_its_command(
    wanted: str, tmp_path: Path
) -> None:
    (tmp_path / "typer.py").write_text("raise SystemExit('a module of the job came first')")
    found = start(tmp_path, wanted, "--version")
    if wanted == HERE:
        assert (found.returncode, found.stdout) == (0, f"gauntlet {HERE}\n")
    else:
        assert found.returncode == 2
        assert f"has Gauntlet {HERE}, the job was submitted with 99.1" in found.stdout
