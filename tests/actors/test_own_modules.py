"""One's own modules on Ray's workers, which have nothing installed and may be elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gauntlet.actors.launch import launch
from gauntlet.actors.own_modules import of_this_process, packed
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.models.sources.permission import NOTHING
from gauntlet.pipeline.problems import BadInput
from tests.actors.test_sessions import shared, start_cluster  # noqa: F401
from tests.toys.jobs import JOB, write

KIT = """
import os
from pathlib import Path
import torch
from sizes import CLASSES
from .layers import first

def make(seed, notes):
    Path(notes, f"{os.getpid()}-{seed}").write_text(__file__)
    torch.manual_seed(seed)
    return torch.nn.Sequential(first(), torch.nn.Flatten(), torch.nn.Linear(4 * 36, CLASSES))
"""
PICTURES = """
import numpy as np
from sizes import CLASSES

def eight(seed):
    draws = np.random.default_rng(seed)
    return [(draws.integers(0, 256, (8, 8, 3), dtype=np.uint8), n % CLASSES) for n in range(8)]
"""
LAYERS = "import torch\ndef first():\n    return torch.nn.Conv2d(3, 4, 3)\n"


THEIRS = (
    "from sizes import CLASSES\ndef attack(model, images, labels):\n    return images.flip(3)\n"
)


def project(folder: Path, placement: str) -> Path:
    """A job whose networks and images a package beside it makes, and files that do not travel."""
    (folder / "kit").mkdir(parents=True)
    (folder / "kit" / "__init__.py").write_text("")
    (folder / "kit" / "nets.py").write_text(KIT)
    (folder / "kit" / "layers.py").write_text(LAYERS)
    (folder / "kit" / "pictures.py").write_text(PICTURES)
    (folder / "sizes.py").write_text("CLASSES = 5\n")
    (folder / "theirs.py").write_text(THEIRS)
    (folder / "notes").mkdir()
    text = JOB.replace("tests.toys.jobs:network", "kit.nets:make")
    text = text.replace("{seed:", f"{{notes: {folder / 'notes'}, seed:")
    text = text.replace(
        "npz, path: images.npz", "import, factory: 'kit.pictures:eight', options: {seed: 0}"
    )
    text = text.replace("attacks:\n", 'attacks:\n  - {source: "theirs:attack", epsilon: 8/255}\n')
    text = text.replace("placement: in-process", f"placement: {placement}, threads: 1, workers: 2")
    return write(folder, text=text)


def run(path: Path, folder: Path, **more: Any) -> set[Path]:
    """Run a job; return the file that each process had the factory from."""
    loaded = open_job(path)
    before = set((path.parent / "notes").iterdir())
    outcome = launch(loaded.plan, str(folder), permission=loaded.permission, **more)
    assert outcome.units_failed == 0
    notes = set((path.parent / "notes").iterdir()) - before
    elsewhere = [note for note in notes if not note.name.startswith(f"{os.getpid()}-")]
    surrogates = {note.name.split("-")[0] for note in elsewhere if note.name.endswith("-0")}
    assert len(surrogates) == 2
    return {Path(note.read_text()) for note in elsewhere}


@pytest.mark.slow
def test_two_workers_of_this_machine_read_modules_where_they_lie(tmp_path: Path) -> None:
    path = project(tmp_path / "mine", "packed")
    assert run(path, tmp_path / "run") == {tmp_path / "mine" / "kit" / "nets.py"}


def test_a_parcel_has_the_modules_and_no_data(tmp_path: Path) -> None:
    path = project(tmp_path / "mine", "packed")
    (path.parent / "kit" / "__pycache__").mkdir()
    with packed([path.parent / "kit", path.parent / "sizes.py"]) as environment:
        assert environment is not None
        (parcel,) = map(Path, environment["py_modules"])
        files = {str(file.relative_to(parcel)) for file in parcel.rglob("*") if file.is_file()}
        kit = {f"kit/{name}.py" for name in ("nets", "layers", "pictures")}
        assert files == {"kit/__init__.py", *kit, "sizes.py"}
    assert not parcel.exists()
    with packed([]) as environment:
        assert environment is None


def test_workers_here_look_where_a_notebook_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, added = tmp_path / "here", tmp_path / "added"
    here.mkdir()
    added.mkdir()
    monkeypatch.chdir(here)
    theirs = [entry for entry in sys.path if entry]
    # As `sys.path.append` and import hooks leave it.
    monkeypatch.setattr(sys, "path", [*theirs, str(added), "", "__no_path__"])
    modules = of_this_process(NOTHING)
    monkeypatch.chdir(tmp_path)  # the driver's folder is meant, wherever a worker is
    monkeypatch.setattr(sys, "path", list(theirs))
    assert modules.permission() is NOTHING
    assert sys.path == [*theirs, str(added), str(here)]


@pytest.mark.slow
def test_a_cluster_gets_the_modules_and_nothing_else(tmp_path: Path, shared: Path) -> None:  # noqa: F811
    cluster = f"127.0.0.1:{start_cluster(shared, cpus=2)}"
    path = project(tmp_path / "mine", "packed")
    found = run(path, tmp_path / "run", address=cluster)
    assert len(found) == 1
    carried = found.pop().parents[1]
    assert carried.name == "gauntlet_own_modules"
    assert not carried.is_relative_to(tmp_path)
    with pytest.raises(BadInput, match=r"looked for kit/nets\.py"):
        launch(open_job(path).plan, str(tmp_path / "again"), address=cluster)
