"""What data sources are asked, and that one more of them is one more file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from gauntlet.pipeline.data.sources.labelled import Labelled
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.data.sources.source import catalogue, register
from tests.toys.datasets import spec

STRIPES = '''
"""Stripes: a source of labelled images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.decoding import Pixels
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.listing import Listing
from gauntlet.pipeline.data.sources.labelled import Labelled
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.data.sources.source import register
from gauntlet.pipeline.data.stores import ImageStore, numbered


@register
class Stripes(Labelled):
    """Stripes, as many as wanted; a picture's class is their number, from 0."""

    source: Literal["stripes"]
    """Kind of source."""
    count: int = 8
    """Number of pictures."""

    def image_size(self, base: Path) -> tuple[int, int]:
        return 8, 8

    def labelled(self, goal: Goal, base: Path, found: Found) -> Listing | None:
        if self.count > 1000:
            found.add("data.count", f"{self.count} pictures are too many, expected at most 1000")
            return None
        store = StripedImages(self.count)
        places = np.arange(self.count)
        return Listing(store, tuple(store.names), places, places % 5, 5)


@dataclass(frozen=True)
class StripedImages(ImageStore):
    count: int

    @property
    def names(self) -> Sequence[str]:
        return numbered("stripes", self.count)

    @property
    def image_size(self) -> tuple[int, int]:
        return 8, 8

    def read(self, position: int) -> Pixels:
        pixels = np.zeros((8, 8, 3), dtype=np.uint8)
        pixels[:, : position % 5] = 255
        return pixels

    def fingerprint(self, positions: Sequence[int]) -> str:
        return hashlib.blake2b(repr(list(positions)).encode(), digest_size=16).hexdigest()
'''
RUN = """
import sys
from pathlib import Path

import gauntlet.pipeline.data.sources

HERE = Path(sys.argv[1])
gauntlet.pipeline.data.sources.__path__.append(str(HERE / "more"))  # as if it lay with the others

from gauntlet.jobs.reference.job_page import markdown
from gauntlet.jobs.reference.job_sections import sections
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.plan import Plan
from tests.toys.jobs import write

SOURCE = "source: npz, path: images.npz"


def said(data):
    try:
        load(write(HERE, (SOURCE, data)))
    except BadInput as error:
        print(error)


plan = load(write(HERE, (SOURCE, "source: stripes, count: 3, wanted: random"),
                  ("untargeted", "targeted")))
plan = Plan.model_validate_json(plan.model_dump_json())
examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
batch = examples.load([2]).batch
print(type(plan.data).__name__, batch.ids, batch.labels.tolist(), int((batch.images > 0).sum()))
said("source: stripes, cuont: 3")
said("source: stripes, count: 3000")
said("source: strips")
page = markdown(sections()).splitlines()
print(*(line for line in page if "stripes" in line or "Number of pictures" in line))
"""


def test_a_new_source_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "stripes.py").write_text(STRIPES)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    read, misspelt, refused, unknown, documented = done.stdout.splitlines()
    assert read == "Stripes ('stripes/2',) [2] 48"
    assert "job.yaml:3: data.cuont: unknown key 'cuont'; did you mean 'count'? known:" in misspelt
    assert refused.endswith("data.count: 3000 pictures are too many, expected at most 1000")
    assert "unknown source 'strips'; did you mean 'stripes'?" in unknown
    assert documented.startswith("## `data`, source `stripes` | `source` | `stripes` |")
    assert "Number of pictures." in documented


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two data sources claim the name 'npz'"):

        @register
        class Other(Labelled):
            source: Literal["npz"]

    assert Npz in catalogue()


def test_the_size_of_images_is_known_without_decoding_them(tmp_path: Path) -> None:
    pixels = np.zeros((2, 6, 7, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.arange(2))
    here = {"root": str(tmp_path)}
    csv = {"source": "pairs", "pairs": "pairs.csv"}
    sizes: list[tuple[dict[str, object], tuple[int, int] | None]] = [
        ({"source": "rendered", "size": 24}, (24, 24)),
        ({"source": "cifar10", **here}, (32, 32)),
        ({"source": "imagenet", "size": 224, **here}, (224, 224)),
        ({"source": "lfw", "size": [112, 96], **here}, (112, 96)),
        ({"source": "folder", "size": [9, 5], **here}, (9, 5)),
        ({"source": "folder", **here}, None),
        ({"source": "npz", "path": "images.npz"}, (6, 7)),
        ({"source": "npz", "path": "images.npz", "images": "other"}, None),
        ({"source": "npz", "path": "absent.npz"}, None),
        ({"images": "images.npz", **csv}, (6, 7)),
        ({"images": ".", "size": [4, 3], **csv}, (4, 3)),
        ({"images": ".", **csv}, None),
    ]
    for fields, size in sizes:
        assert spec(**fields).image_size(tmp_path) == size, fields
