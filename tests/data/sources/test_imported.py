"""Data sets of one's own code: as torch and torchvision write them, good and bad."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.models.sources.permission import NOTHING, granted, permit
from tests.toys.datasets import opened, pixels, problems

UNTARGETED = Goal.UNTARGETED
SETS = """
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision.datasets import FakeData

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
made = 0

class Shapes(Dataset):
    '''As torchvision's: `targets`, `classes`, an optional transform.'''
    classes = ["hen", "tench", "eel"]

    def __init__(self, count=6, plain=False):
        global made
        made += 1
        self.images, self.asked = IMAGES[:count], []
        if not plain:
            self.targets = [n % 3 for n in range(count)]
    def __len__(self):
        return len(self.images)
    def __getitem__(self, index):
        self.asked.append(index)
        return self.images[index], index % 3

def subset():
    return Subset(Shapes(), [5, 0, 2])

def tensors():
    channels_first = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    return TensorDataset(channels_first.float() / 255, torch.arange(6) % 2)

def normalised():
    return [((torch.from_numpy(image).permute(2, 0, 1) / 255 - 0.5) / 0.2, 0) for image in IMAGES]

class Flipped(Shapes):
    turn = 0

    def __getitem__(self, index):
        Flipped.turn += 1
        image = self.images[index]
        return (image if Flipped.turn % 2 else 255 - image), index % 3

class Wrong(Shapes):
    def __getitem__(self, index):
        if index == 3:
            raise OSError("3.png is gone")
        return super().__getitem__(index)

class Shifted(Shapes):
    def __getitem__(self, index):
        return self.images[index], index % 3 + 1

class Stream(IterableDataset):
    def __iter__(self):
        yield from ((image, 0) for image in IMAGES)

def loader(): return DataLoader(Shapes())
def empty(): return []
def broken(): raise RuntimeError("no disk")
def leaves(): raise SystemExit(3)
def outside(): return [(IMAGES[0], 0), (IMAGES[1], 7), (IMAGES[2], 2)]
def words(): return [(IMAGES[0], "hen"), (IMAGES[1], "eel")]
def pictures(): return [{"image": IMAGES[0], "label": 0}]
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "sets.py").write_text(SETS)
    permit(granted(job=tmp_path))
    yield tmp_path
    permit(NOTHING)


def fields(factory: str, **more: Any) -> dict[str, Any]:
    return {"source": "import", "factory": f"sets:{factory}", **more}


def test_items_are_asked_for_when_their_turn_comes(root: Path) -> None:
    import importlib

    examples = opened(root, UNTARGETED, **fields("Shapes"))
    assert examples.ids == tuple(f"Shapes/{n}" for n in range(6))
    assert examples.listing.class_names == ("hen", "tench", "eel")
    assert examples.account.notes == (f"sets:Shapes: ran {root / 'sets.py'}",)
    sets = importlib.import_module("sets")
    assert sets.made == 1  # however often the data are read
    opened(root, UNTARGETED, **fields("Shapes"))
    sent = pickle.loads(pickle.dumps(examples))
    batch = sent.load([5, 0, 2]).batch
    assert sets.made == 1
    assert batch.labels.tolist() == [2, 0, 2]
    expected = pixels(6)[[5, 0, 2]].transpose(0, 3, 1, 2).astype(np.float32) / 255
    assert np.array_equal(batch.images.numpy(), expected)
    dataset = sent.listing.store.recipe.made()._dataset
    assert set(dataset.asked) == {0, 2, 5}  # the first and the last are looked at beforehand


def test_labels_are_those_of_a_subset_or_are_asked_for(root: Path) -> None:
    chosen = opened(root, UNTARGETED, **fields("subset"))
    assert chosen.listing.labels is not None
    assert chosen.listing.labels.tolist() == [2, 0, 2]
    assert chosen.listing.classes == 3
    walked = opened(root, UNTARGETED, **fields("tensors"))
    assert walked.listing.labels is not None
    assert walked.listing.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert "sets:tensors has no `targets`: every item was asked for its label" in (
        walked.account.notes
    )
    plain = opened(root, UNTARGETED, **fields("Shapes", options={"plain": True, "count": 4}))
    assert plain.listing.labels is not None
    assert plain.listing.labels.tolist() == [0, 1, 2, 0]


def test_fields_of_other_sources_hold_here(root: Path) -> None:
    given = fields("Shapes", size=(8, 6), limit=2, classes=9, order="random")
    examples = opened(root, Goal.TARGETED, **given)
    assert len(examples) == 2
    assert examples.listing.classes == 9
    batch = examples.load([0, 1]).batch
    assert batch is not None
    assert batch.images.shape == (2, 3, 8, 6)


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (
            "normalised",
            "item 0 is a tensor of float32 with values from -2.42 to 2.36, expected",
        ),
        ("Flipped", "is another image each time: leave what is random out of the data set's tra"),
        ("Shifted", "item 0 has the label 1, its `targets` say 0"),
        ("Stream", "made Stream without a length, expected a map-style data set, with __len__"),
        ("loader", "with __len__ and __getitem__: return what it loads from, its `.dataset`"),
        ("empty", "made list with no item"),
        ("broken", "failed: RuntimeError: no disk"),
        ("leaves", "failed: it left Python (exit code 3)"),
        ("words", "item 0 has the label 'hen', expected a whole number"),
        ("pictures", "item 0 is a dict, expected (image, label)"),
        ("nothing", "has no callable 'nothing'; it defines Shapes, subset, tensors, "),
        ("IMAGES", "has no callable 'IMAGES'"),
        ("FakeData", "torchvision, which is not yours: write a function there that calls it"),
    ],
)
def test_what_is_no_data_set_is_refused_in_a_line(root: Path, factory: str, said: str) -> None:
    (message,) = problems(root, UNTARGETED, **fields(factory))
    assert message.startswith("data.factory: ")
    assert said.replace("torchvision, ", "") in message
    assert "\n" not in message


def test_options_labels_and_modules_that_are_not_there(root: Path) -> None:
    (message,) = problems(root, UNTARGETED, **fields("Shapes", options={"size": 3}))
    assert "does not take these options: got an unexpected keyword argument 'size'" in message
    (message,) = problems(root, UNTARGETED, **fields("outside", classes=3))
    assert message == "sets:outside: item 1: label 7 is no class, expected 0..2"
    (message,) = problems(root, UNTARGETED, source="import", factory="sots:Shapes")
    assert message.startswith("data.factory: no module 'sots': looked for sots.py")
    (message,) = problems(root, UNTARGETED, source="import", factory="sets")
    assert "expected import:package.module:factory" in message
    (message,) = problems(root, UNTARGETED, source="import", factory="os:listdir")
    assert "'os' belongs to the standard library" in message


def test_an_item_that_fails_is_set_aside(root: Path) -> None:
    loaded = opened(root, UNTARGETED, **fields("Wrong")).load([2, 3])
    assert loaded.batch is not None
    assert loaded.batch.ids == ("Wrong/2",)
    (rejected,) = loaded.rejected
    assert rejected.reason == "Wrong/3: cannot be had: OSError: 3.png is gone"


def test_nothing_runs_without_permission(root: Path) -> None:
    permit(NOTHING)
    (message,) = problems(root, UNTARGETED, **fields("Shapes"))
    assert "no module 'sets': looked for sets.py and sets/__init__.py in no folder" in message
