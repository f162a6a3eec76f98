"""One import name, `gauntlet`: what it offers, and that nothing goes by another."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import gauntlet

ROOT = Path(__file__).resolve().parents[1]
BARE = re.compile(r"^\s*(?:from|import) (?:pipeline|actors|jobs)(?:\.| |$)", re.M)


def python(program: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_public_names_are_there_and_documented() -> None:
    assert sorted(gauntlet.__all__) == gauntlet.__all__
    for name in gauntlet.__all__:
        assert getattr(gauntlet, name).__doc__
    assert set(gauntlet.__all__) <= set(dir(gauntlet))
    with pytest.raises(AttributeError, match="no attribute 'atack'"):
        _ = gauntlet.atack


def test_the_front_door_waits_for_nothing() -> None:
    heavy = "[name for name in ('torch', 'ray', 'numpy', 'pydantic') if name in sys.modules]"
    done = python(f"import sys, gauntlet; sys.exit(', '.join({heavy}) or 0)", ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["pipeline", "actors", "jobs"])
def test_a_bare_name_says_what_to_write(name: str) -> None:
    done = python(f"import {name}", ROOT)
    assert done.returncode == 1
    assert f"ImportError: write `import gauntlet.{name}` or `from gauntlet import" in done.stderr


def test_a_pipeline_of_the_person_s_own_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("MINE = True")
    program = "import pipeline, gauntlet; print(pipeline.MINE, gauntlet.Goal('dodging').value)"
    path = f"import sys; sys.path.append({str(ROOT)!r}); "
    assert python(path + program, tmp_path).stdout == "True dodging\n"


def test_nothing_is_imported_by_a_bare_name() -> None:
    folders = ("pipeline", "actors", "jobs", "tests", "bench", "docs")
    files = [path for name in folders for path in sorted((ROOT / name).rglob("*"))]
    files = [*files, ROOT / "README.md"]
    texts = [path for path in files if path.suffix in (".py", ".md")]
    assert len(texts) > 200
    assert not [str(path) for path in texts if BARE.search(path.read_text())]


@pytest.mark.parametrize("name", ["gauntlet", "gauntlet.jobs"])
def test_the_module_is_the_command(name: str) -> None:
    command = [sys.executable, "-m", name, "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("gauntlet ")
