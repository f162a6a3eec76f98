from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.problems import BadInput
from tests.toys.datasets import opened, pixels, problems, spec, write_image, write_npz, write_text

UNTARGETED, TARGETED = Goal.UNTARGETED, Goal.TARGETED


def test_npz_gives_canonical_images(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    examples = opened(tmp_path, UNTARGETED, source="npz", path="set.npz")
    assert examples.ids == tuple(f"set/{i}" for i in range(6))
    batch = examples.load([4, 1]).batch
    assert batch is not None
    assert batch.ids == ("set/4", "set/1")
    assert batch.images.dtype == torch.float32
    expected = pixels(6)[[4, 1]].transpose(0, 3, 1, 2).astype(np.float32) / 255
    assert np.array_equal(batch.images.numpy(), expected)
    assert batch.labels is not None
    assert batch.labels.tolist() == [1, 1]
    assert batch.wanted is None


def test_npz_arrays_can_have_other_names(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", images=None, labels=None, x=pixels(2), y=np.array([1, 0]))
    examples = opened(tmp_path, UNTARGETED, source="npz", path="set.npz", images="x", labels="y")
    assert examples.listing.labels is not None
    assert examples.listing.labels.tolist() == [1, 0]


def test_examples_hold_no_pixels(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", images=pixels(6, 200, 200))
    examples = opened(tmp_path, UNTARGETED, source="npz", path="set.npz")
    examples.load([0])
    sent = pickle.dumps(examples)
    assert len(sent) < 5000
    assert pickle.loads(sent).ids == examples.ids


def test_wanted_next_is_label_plus_one_modulo_classes(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    for fields, wanted in (({}, [1, 2, 0]), ({"classes": 5}, [1, 2, 3])):
        examples = opened(tmp_path, TARGETED, source="npz", path="set.npz", **fields)
        batch = examples.load([0, 1, 2]).batch
        assert batch is not None
        assert batch.wanted is not None
        assert batch.wanted.tolist() == wanted


def test_the_archive_says_how_many_classes(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", classes=np.array(list("abcde")))
    assert opened(tmp_path, TARGETED, source="npz", path="set.npz").listing.classes == 5


def test_wanted_random_is_another_class_and_keyed_by_id(tmp_path: Path) -> None:
    count = 300
    write_npz(tmp_path / "set.npz", count, labels=np.arange(count) % 4)
    fields: dict[str, Any] = {"source": "npz", "path": "set.npz", "wanted": "random"}
    whole = opened(tmp_path, TARGETED, **fields)
    assert whole.wanted is not None
    assert whole.listing.labels is not None
    assert not (whole.wanted == whole.listing.labels).any()
    assert set(whole.wanted.tolist()) == {0, 1, 2, 3}
    few = opened(tmp_path, TARGETED, **fields, order="random", limit=20)
    assert few.wanted is not None
    by_id = dict(zip(whole.ids, whole.wanted.tolist(), strict=True))
    assert [by_id[name] for name in few.ids] == few.wanted.tolist()
    other = opened(tmp_path, TARGETED, seed=1, **fields)
    assert other.wanted is not None
    assert other.wanted.tolist() != whole.wanted.tolist()


def test_random_order_depends_on_seed_and_id_only(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", 40)
    fields: dict[str, Any] = {"source": "npz", "path": "set.npz", "order": "random"}
    first = opened(tmp_path, UNTARGETED, **fields).ids
    assert first == opened(tmp_path, UNTARGETED, **fields).ids
    assert first != opened(tmp_path, UNTARGETED, seed=1, **fields).ids
    assert sorted(first) == sorted(f"set/{i}" for i in range(40))
    assert opened(tmp_path, UNTARGETED, **fields, limit=7).ids == first[:7]
    assert opened(tmp_path, UNTARGETED, **fields, every=7, limit=2).ids == first[::7][:2]
    wanted = [f"set/{i}" for i in range(0, 40, 2)]
    write_text(tmp_path / "ids.csv", "id", *wanted)
    some = opened(tmp_path, UNTARGETED, **fields, ids="ids.csv").ids
    assert some == tuple(name for name in first if name in wanted)


def test_trap_15_no_global_generator(tmp_path: Path) -> None:
    import random

    write_npz(tmp_path / "set.npz")
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    fields: dict[str, Any] = {
        "source": "npz",
        "path": "set.npz",
        "order": "random",
        "wanted": "random",
    }
    opened(tmp_path, TARGETED, **fields).load([0, 1])
    after = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    assert before[0] == after[0]
    assert str(before[1]) == str(after[1])
    assert torch.equal(before[2], after[2])


def test_ids_choose_and_order(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    write_text(tmp_path / "ids.csv", "index,label", "5,2", "0,0")
    examples = opened(tmp_path, UNTARGETED, source="npz", path="set.npz", ids="ids.csv")
    assert examples.ids == ("set/5", "set/0")


def test_subset_and_select_keep_everything_together(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    examples = opened(tmp_path, TARGETED, source="npz", path="set.npz")
    chosen = examples.subset([5, 2]).select(["set/2"])
    batch = chosen.load([0]).batch
    assert batch is not None
    assert batch.labels is not None
    assert batch.wanted is not None
    assert (batch.ids, batch.labels.tolist(), batch.wanted.tolist()) == (("set/2",), [2], [0])
    with pytest.raises(BadInput, match="1 ids are not among the 6 examples: 'set/9'"):
        examples.select(["set/9"])


def test_folder_classes_are_sorted_sub_folders(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/deep/2.png", "a/1.jpg", ".hidden/3.png"):
        write_image(tmp_path / "set" / name)
    (tmp_path / "set" / "a" / "notes.txt").write_text("not an image")
    examples = opened(tmp_path, UNTARGETED, source="folder", root="set")
    assert examples.ids == ("a/1.jpg", "a/deep/2.png", "b/1.png")
    assert examples.listing.labels is not None
    assert examples.listing.labels.tolist() == [0, 0, 1]


def test_folder_with_a_label_file(tmp_path: Path) -> None:
    for name in ("1.png", "2.png", "3.png"):
        write_image(tmp_path / "set" / name)
    write_text(tmp_path / "labels.csv", "file,label", "3.png,7", "1.png,0")
    fields: dict[str, Any] = {"source": "folder", "root": "set", "labels": "labels.csv"}
    examples = opened(tmp_path, TARGETED, **fields)
    assert examples.ids == ("3.png", "1.png")
    assert examples.wanted is not None
    assert examples.wanted.tolist() == [0, 1]
    write_text(tmp_path / "ids.csv", "file", "1.png")
    assert opened(tmp_path, TARGETED, **fields, ids="ids.csv").ids == ("1.png",)
    assert problems(tmp_path, TARGETED, **fields, classes=5) == [
        "labels.csv:2: label 7 is no class, expected 0..4"
    ]


def test_folder_sizes(tmp_path: Path) -> None:
    write_image(tmp_path / "set" / "a" / "1.png", 4, 5)
    write_image(tmp_path / "set" / "a" / "2.png", 8, 9)
    loaded = opened(tmp_path, UNTARGETED, source="folder", root="set").load([0, 1])
    assert loaded.batch is not None
    assert loaded.batch.ids == ("a/1.png",)
    assert [item.id for item in loaded.rejected] == ["a/2.png"]
    assert "is 8 x 9 (height x width), expected 4 x 5 as a/1.png" in loaded.rejected[0].reason
    resized = opened(tmp_path, UNTARGETED, source="folder", root="set", size=(6, 7)).load([0, 1])
    assert resized.batch is not None
    assert resized.batch.images.shape == (2, 3, 6, 7)


def test_imagenet_resizes_the_shorter_side_and_crops(tmp_path: Path) -> None:
    write_image(tmp_path / "val" / "n01" / "a.JPEG", 40, 60)
    write_image(tmp_path / "val" / "n02" / "b.JPEG", 30, 20, "L")
    fields: dict[str, Any] = {
        "source": "imagenet",
        "root": "val",
        "size": 16,
        "resize": 20,
        "classes": 2,
    }
    loaded = opened(tmp_path, UNTARGETED, **fields).load([0, 1])
    assert loaded.batch is not None
    assert loaded.batch.images.shape == (2, 3, 16, 16)
    assert loaded.batch.labels is not None
    assert loaded.batch.labels.tolist() == [0, 1]
    assert not loaded.rejected


def test_imagenet_labels_need_all_class_folders(tmp_path: Path) -> None:
    write_image(tmp_path / "val" / "n01" / "a.JPEG")
    (message,) = problems(tmp_path, UNTARGETED, source="imagenet", root="val")
    assert message.startswith("data.root:")
    assert "has 1 class folders, expected 1000" in message


def test_imagenet_crop_must_fit(tmp_path: Path) -> None:
    write_image(tmp_path / "val" / "n01" / "a.JPEG")
    fields: dict[str, Any] = {"source": "imagenet", "root": "val", "size": 300, "classes": 2}
    found = problems(tmp_path, UNTARGETED, **fields)
    assert found[0] == "data.size: 300 does not fit into `resize`, 256"
    assert "expected 2" in found[1]


def test_missing_cifar10_says_what_to_fetch(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, UNTARGETED, source="cifar10", root=".")
    assert "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz" in message
    assert "cifar-10-batches-py" in message


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": None}, "data.images: the archive has no array 'images'; it has labels"),
        ({"labels": None}, "data.labels: the archive has no array 'labels'; it has images"),
        ({"images": pixels(6).astype(np.float32)}, "data.images: array 'images' is float32"),
        ({"images": pixels(6).transpose(0, 3, 1, 2)}, "expected uint8 (N, H, W, 3)"),
        ({"images": pixels(0), "labels": np.arange(0)}, "data.images: array 'images' is empty"),
        ({"labels": np.arange(5)}, "data.labels: 5 labels for 6 images"),
        (
            {"labels": np.full(6, 0.5)},
            "data.labels: array 'labels' is float64 (6,), expected integers",
        ),
        ({"labels": np.array([None] * 6)}, "data.labels: array 'labels' is object"),
        ({"labels": np.array([0, 1, 2, -1, 0, 1])}, "labels[3]: label -1 is no class"),
    ],
)
def test_bad_archives(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    write_npz(tmp_path / "set.npz", **arrays)
    found = problems(tmp_path, UNTARGETED, source="npz", path="set.npz")
    assert any(message in problem for problem in found), found
    with pytest.raises(BadInput):
        opened(tmp_path, UNTARGETED, source="npz", path="set.npz")


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    (message,) = problems(tmp_path, UNTARGETED, source="npz", path="none.npz")
    assert message == f"data.path: no such file: {tmp_path / 'none.npz'}"
    (tmp_path / "page.npz").write_text("<html>Google Drive: sign in</html>")
    (message,) = problems(tmp_path, UNTARGETED, source="npz", path="page.npz")
    assert message.startswith("data.path: page.npz is not a whole .npz archive")
    whole = write_npz(tmp_path / "half.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    (message,) = problems(tmp_path, UNTARGETED, source="npz", path="half.npz")
    assert message.startswith("data.path: half.npz is not a whole .npz archive")


def test_bad_ids(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    fields: dict[str, Any] = {"source": "npz", "path": "set.npz", "ids": "ids.csv"}
    (message,) = problems(tmp_path, UNTARGETED, **fields)
    assert message.startswith("data.ids: no such file")
    write_text(tmp_path / "ids.csv", "file", "a.png")
    (message,) = problems(tmp_path, UNTARGETED, **fields)
    assert message == "ids.csv:1: header 'file', expected 'id' or 'index' or 'index,label'"
    write_text(tmp_path / "ids.csv", "index,label", "17,0", "x,0", "1,1", "1,1", "2,0", "3")
    assert problems(tmp_path, UNTARGETED, **fields) == [
        "ids.csv:7: 1 cells, expected 2",
        "ids.csv:2: index 17 is no image, expected 0..5",
        "ids.csv:3: index x is no image, expected 0..5",
        "ids.csv:5: 'set/1' is already named at ids.csv:4",
        "ids.csv:6: label 0, but 'set/2' has label 2",
    ]
    write_text(tmp_path / "ids.csv", "id")
    (message,) = problems(tmp_path, UNTARGETED, **fields)
    assert message == "data.ids: ids.csv has a header but no rows"


def test_bad_label_files(tmp_path: Path) -> None:
    write_image(tmp_path / "set" / "1.png")
    write_image(tmp_path / "outside.png")
    rows = ("1.png,0", "1.png,1", "2.png,0", "1.png,cat", "../outside.png,0")
    write_text(tmp_path / "labels.csv", "file,label", *rows)
    found = problems(tmp_path, UNTARGETED, source="folder", root="set", labels="labels.csv")
    assert [line.split(": ")[0] for line in found] == [f"labels.csv:{n}" for n in (3, 4, 5, 6)]
    (message,) = problems(tmp_path, UNTARGETED, source="folder", root="set")
    assert "no image files in class sub-folders; name the classes with `labels`" in message


def test_problems_are_capped_and_counted(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", 50)
    rows = [f"{index},0" for index in range(50, 100)]
    write_text(tmp_path / "ids.csv", "index,label", *rows)
    found = problems(tmp_path, UNTARGETED, source="npz", path="set.npz", ids="ids.csv")
    assert len(found) == 21
    assert found[-1] == "data: and 30 more problems like these"


def test_many_examples_of_one_cause_are_one_problem(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz", 50, labels=np.full(50, -1))
    assert problems(tmp_path, UNTARGETED, source="npz", path="set.npz", classes=2) == [
        "set.npz: labels[0]: label -1 is no class, expected 0..1; 50 examples have such a label"
    ]


def test_trap_18_fields_without_effect_are_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "set.npz")
    fields: dict[str, Any] = {"source": "npz", "path": "set.npz"}
    (message,) = problems(tmp_path, UNTARGETED, **fields, wanted="next")
    assert message == "data.wanted: has no effect with goal 'untargeted': remove it"
    (message,) = problems(tmp_path, Goal.DODGING, **fields)
    assert message.startswith("data.source: 'npz' holds examples for classification")
    with pytest.raises(ValidationError):
        spec(**fields, crop=3)


def test_the_acceptance_images(data_root: Path) -> None:
    fields: dict[str, Any] = {
        "source": "npz",
        "path": "cifar10-test-1000.npz",
        "ids": "cifar10-attack-100.csv",
    }
    examples = opened(data_root, UNTARGETED, **fields)
    assert len(examples) == 100
    batch = examples.load(range(100)).batch
    assert batch is not None
    assert batch.images.shape == (100, 3, 32, 32)
    assert batch.labels is not None
    assert torch.bincount(batch.labels).tolist() == [10] * 10
