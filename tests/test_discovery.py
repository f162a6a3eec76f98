"""A package offers sources of models and data by entry points; it runs when a person names it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.test_sources import STRIPES
from tests.toys.jobs import write

NETS = '''
from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.source import Offer, Source, register


@register
class Linear(Source):
    """One layer on the pixels."""

    form = "linear/SIDE"

    def problems(self, rest, spec, root):
        return []

    def description(self, rest, spec, root):
        return Description(Task.CLASSIFICATION, Preprocessing((int(rest), int(rest))))

    def network(self, rest, spec, root):
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * int(rest) ** 2, 5))

    def offers(self):
        return [Offer("linear/8", "one layer")]
'''


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a package as pip leaves it."""
    package, about = tmp_path / "site" / "offering", tmp_path / "site" / "offering-1.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(NETS)
    (package / "stripes.py").write_text(STRIPES)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[gauntlet.models]\nlinear = offering.nets\n[gauntlet.data]\nstripes = offering.stripes\n"
    )
    return tmp_path / "site"


def test_sources_of_a_package_are_there_for_who_names_it(tmp_path: Path, installed: Path) -> None:
    job = write(
        tmp_path,
        ("source: npz, path: images.npz", "source: stripes, count: 7"),
        ('"import:tests.toys.jobs:network", options: {seed: 0}', "linear/8"),
    )
    here = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *filter(None, sys.path)])}
    program = [sys.executable, "-m", "gauntlet", "check", str(job), "--allow-imports", "tests"]
    for named in ("", "offering"):
        done = subprocess.run(
            program,
            env=here | {"GAUNTLET_ALLOW_IMPORTS": named},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if named:
            assert done.returncode == 0, done.stderr
            assert "7 examples" in done.stdout
        else:
            assert done.returncode == 2
            assert "unknown source 'linear/'" in done.stderr
            assert "unknown source 'stripes'" in done.stderr
