"""An image of the wanted class for each example of a targeted attack."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples, check
from gauntlet.pipeline.data.sources import cifar10
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.problems import BadInput
from tests.toys.datasets import opened, pixels, problems, spec, write_image, write_npz, write_text

TARGETED = Goal.TARGETED
NPZ: dict[str, Any] = {"source": "npz", "path": "set.npz", "references": "gallery"}
COUNT = 60


def write_coloured(path: Path, count: int = COUNT, classes: int = 4) -> None:
    """Write images that show their own index in the first channel and their class in the second."""
    images = np.zeros((count, 4, 5, 3), dtype=np.uint8)
    labels = np.arange(count) % classes
    images[..., 0] = np.arange(count)[:, None, None]
    images[..., 1] = labels[:, None, None]
    write_npz(path, count, images=images, labels=labels)


def shown(examples: Examples) -> dict[str, tuple[int, int]]:
    """Return index and class of the image that each example got."""
    batch = examples.load(range(len(examples))).batch
    assert batch is not None
    assert batch.references is not None
    assert batch.references.shape == batch.images.shape
    assert batch.references.dtype == torch.float32
    seen = (batch.references[:, :2, 0, 0] * 255).round().int().tolist()
    return dict(zip(batch.ids, ((index, label) for index, label in seen), strict=True))


@pytest.mark.parametrize("wanted", ["next", "random"])
def test_every_example_gets_an_image_of_its_wanted_class(tmp_path: Path, wanted: str) -> None:
    write_coloured(tmp_path / "set.npz")
    examples = opened(tmp_path, TARGETED, **NPZ, wanted=wanted)
    assert examples.wanted is not None
    seen = shown(examples)
    assert [label for _, label in seen.values()] == examples.wanted.tolist()
    assert all(name != f"set/{index}" for name, (index, _) in seen.items())
    assert len({index for index, _ in seen.values()}) > COUNT // 3


def test_the_draw_is_the_keyed_one(tmp_path: Path) -> None:
    write_coloured(tmp_path / "set.npz")
    examples = opened(tmp_path, TARGETED, seed=3, **NPZ)
    drawn = Draws.keyed(3, examples.ids).integers("gallery", 0, COUNT // 4).tolist()
    # Class c is at c, c + 4, c + 8, ...; example i wants (i + 1) % 4.
    expected = [(i + 1) % 4 + 4 * place for i, place in enumerate(drawn)]
    assert [index for index, _ in shown(examples).values()] == expected


def test_the_choice_is_of_the_whole_source_and_keyed_by_id(tmp_path: Path) -> None:
    write_coloured(tmp_path / "set.npz")
    whole = shown(opened(tmp_path, TARGETED, **NPZ))
    write_text(tmp_path / "ids.csv", "index", *map(str, range(0, COUNT, 4)))
    # Only images of class 0 are attacked; those of class 1 still serve as references.
    some = shown(opened(tmp_path, TARGETED, **NPZ, ids="ids.csv", order="random", limit=7))
    assert len(some) == 7
    assert some == {name: whole[name] for name in some}
    other = shown(opened(tmp_path, TARGETED, seed=1, **NPZ))
    assert other != whole


def test_subset_select_and_load_keep_the_references(tmp_path: Path) -> None:
    write_coloured(tmp_path / "set.npz")
    examples = opened(tmp_path, TARGETED, **NPZ)
    whole = shown(examples)
    few = pickle.loads(pickle.dumps(examples.subset([9, 2, 5]).select(["set/5", "set/9"])))
    assert shown(few) == {"set/5": whole["set/5"], "set/9": whole["set/9"]}


def test_only_the_batch_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_coloured(tmp_path / "set.npz")
    read: list[int] = []
    store = type(opened(tmp_path, TARGETED, **NPZ).listing.store)
    original = store.read_all

    def spied(self: Any, positions: Sequence[int]) -> Any:
        read.extend(positions)
        return original(self, positions)

    monkeypatch.setattr(store, "read_all", spied)
    examples = opened(tmp_path, TARGETED, **NPZ)
    assert read == []
    examples.load([4, 8])
    assert len(read) == 4


def test_without_a_gallery_there_are_no_references(tmp_path: Path) -> None:
    write_coloured(tmp_path / "set.npz")
    batch = opened(tmp_path, TARGETED, source="npz", path="set.npz").load([0]).batch
    assert batch is not None
    assert batch.references is None


def test_a_wanted_class_without_images(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", 9, labels=np.arange(9) % 3)
    fields = {**NPZ, "classes": 5}
    # Label 2 wants class 3; nothing wants class 4, so that its emptiness does not matter.
    expected = ["data.references: class 3 has no image in the source"]
    assert problems(tmp_path, TARGETED, **fields) == expected
    with pytest.raises(BadInput, match="class 3 has no image in the source"):
        opened(tmp_path, TARGETED, **fields)
    write_text(tmp_path / "ids.csv", "index", "0", "1")
    assert problems(tmp_path, TARGETED, **fields, ids="ids.csv") == []


def test_the_check_knows_the_seed(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", 1, images=pixels(1), labels=np.zeros(1, dtype=np.int64))
    fields = spec(**NPZ, wanted="random", classes=100)
    named = {str(*check(fields, TARGETED, tmp_path, seed=seed)) for seed in range(5)}
    assert len(named) > 1


def test_a_gallery_is_for_wanted_classes_only(tmp_path: Path) -> None:
    write_coloured(tmp_path / "set.npz")
    assert problems(tmp_path, Goal.UNTARGETED, **NPZ) == [
        "data.references: has no effect with goal 'untargeted': remove it"
    ]


def test_a_broken_gallery_image_sets_its_example_aside(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "c/1.png"):
        write_image(tmp_path / "set" / name)
    (tmp_path / "set" / "b" / "1.png").write_text("no image")
    examples = opened(tmp_path, TARGETED, source="folder", root="set", references="gallery")
    loaded = examples.load([0, 1, 2])
    assert loaded.batch is not None
    assert loaded.batch.ids == ("c/1.png",)
    assert [(item.id, item.reason.split(":")[0]) for item in loaded.rejected] == [
        ("a/1.png", "image of the wanted class, b/1.png"),
        ("b/1.png", "b/1.png"),
    ]
    assert "not an image in a known format" in loaded.rejected[0].reason


def test_label_files_and_imagenet_have_galleries(tmp_path: Path) -> None:
    for name in ("n01/a.png", "n02/b.png", "n03/c.png"):
        write_image(tmp_path / "set" / name, 40, 40)
    write_text(tmp_path / "labels.csv", "file,label", "n03/c.png,0", "n01/a.png,1")
    listed: dict[str, Any] = {"source": "folder", "labels": "labels.csv"}
    tree: dict[str, Any] = {"source": "imagenet", "size": 16, "resize": 20, "classes": 3}
    for fields, places in ((listed, [1, 0]), (tree, [1, 2, 0])):
        examples = opened(tmp_path, TARGETED, root="set", references="gallery", **fields)
        assert examples.listing.second is not None
        assert examples.listing.second.tolist() == places
        batch = examples.load(range(len(examples))).batch
        assert batch is not None
        assert batch.references is not None
        assert torch.equal(batch.references, batch.images[places])


def test_cifar10_has_galleries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Official:
        targets = [*range(10)] * 2
        data = pixels(20, 32, 32)

    names = tuple(f"cifar10-test/{i}" for i in range(20))
    monkeypatch.setattr(cifar10, "official_set", lambda root: Official)
    monkeypatch.setattr(cifar10.CifarImages, "names", names)
    examples = opened(tmp_path, TARGETED, source="cifar10", root=".", references="gallery")
    assert examples.wanted is not None
    assert examples.listing.second is not None
    assert (examples.listing.second % 10).tolist() == examples.wanted.tolist()
    loaded = examples.load([3]).batch
    assert loaded is not None
    assert loaded.references is not None
    expected = Official.data[examples.listing.second[3]].transpose(2, 0, 1) / np.float32(255)
    assert np.array_equal(loaded.references[0].numpy(), expected)
