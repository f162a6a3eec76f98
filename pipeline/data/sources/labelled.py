"""Labelled images: from an archive, a folder, CIFAR-10, ImageNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data import archive
from gauntlet.pipeline.data.class_folders import Layout, class_folders
from gauntlet.pipeline.data.decoding import Fit
from gauntlet.pipeline.data.findings import Found
from gauntlet.pipeline.data.known_classes import too_many
from gauntlet.pipeline.data.label_array import label_array
from gauntlet.pipeline.data.label_file import read_label_file
from gauntlet.pipeline.data.listing import Listing, Positions
from gauntlet.pipeline.data.spec import Cifar10, Folder, ImageNet, Labelled, Npz
from gauntlet.pipeline.data.stores import ArchiveImages, CifarImages, FileImages, cifar10, one_size
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.files import expanded

WANTED = "wanted"
"""Name of an archive's array of wanted classes."""
CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def labelled(spec: Labelled, goal: Goal, base: Path, found: Found) -> Listing | None:
    """Return everything in a source of labelled images.

    Args:
        spec: the job's ``data`` section.
        goal: what the attacker wants.
        base: folder that relative paths start from.
        found: takes what is wrong.

    Returns:
        None when the source cannot be used at all.
    """
    if goal is not Goal.TARGETED:
        for field in ("wanted", "references"):
            if getattr(spec, field) is not None:
                found.add(f"data.{field}", f"has no effect with goal {goal.value!r}: remove it")
    match spec:
        case Npz():
            listing = _npz(spec, goal, base, found)
        case Folder():
            listing = _folder(spec, goal, base, found)
        case Cifar10():
            listing = _cifar10(spec, base, found)
        case ImageNet():
            listing = _imagenet(spec, base, found)
        case _:
            raise TypeError(f"no reader for {type(spec).__name__}")
    if listing is not None and listing.wanted is None and spec.wanted == "listed":
        what = "the source says of no example which class is wanted: add a column or array `wanted`"
        found.add("data.wanted", what)
    return listing


def wanted_classes(spec: Labelled, listing: Listing, seed: int) -> Positions:
    """Return the classes that a targeted attacker wants, (N,), each another than the true one."""
    assert listing.labels is not None, "only labelled images have wanted classes"
    assert listing.classes is not None, "only labelled images have wanted classes"
    if listing.wanted is not None and spec.wanted in (None, "listed"):
        return listing.wanted
    if spec.wanted == "random":
        draws = Draws.keyed(seed, listing.ids)
        others = draws.integers("wanted class", 0, listing.classes - 1).numpy()
        return np.asarray(others + (others >= listing.labels), dtype=np.int64)
    return (listing.labels + 1) % listing.classes


def gallery(
    wanted: Positions, ids: Sequence[str], whole: Listing, seed: int, found: Found
) -> Positions:
    """Return the place in the store of an image of each example's wanted class, (N,).

    Args:
        wanted: the wanted classes, (N,).
        ids: names of the examples; with the seed they key the draws.
        whole: everything in the source, whichever examples were chosen from it.
        seed: the run's seed.
        found: takes the wanted classes that have no image; their places mean nothing.
    """
    assert whole.labels is not None, "only labelled images have wanted classes"
    draws = Draws.keyed(seed, ids)
    places = np.full(len(ids), -1, dtype=np.int64)
    for label in np.unique(wanted).tolist():
        images = whole.first[whole.labels == label]
        if not len(images):
            found.add("data.references", f"class {label} has no image in the source")
            continue
        rows = np.flatnonzero(wanted == label)
        drawn = draws.rows(torch.from_numpy(rows)).integers("gallery", 0, len(images))
        places[rows] = images[drawn.numpy()]
    return places


def _npz(spec: Npz, goal: Goal, base: Path, found: Found) -> Listing | None:
    path = base / expanded(spec.path)
    known = archive.headers(path, "data.path", found)
    if known is None:
        return None
    shape = archive.check_images(known, spec.images, "data.images", found)
    count = shape[0] if shape else None
    read = label_array(path, known, spec.labels, "data.labels", count, found)
    if read is None or shape is None:
        return None
    values, classes = read
    wanted = None
    if WANTED in known and goal is Goal.TARGETED and spec.wanted in (None, "listed"):
        wanted_read = label_array(path, known, WANTED, "data.wanted", count, found)
        if wanted_read is None:
            return None
        wanted = wanted_read[0] - (spec.labels_from or 0)
        found.note(f"{spec.path}: wanted classes are its array {WANTED!r}")
    names: tuple[str, ...] = ()
    if "classes" in known and len(known["classes"].shape) == 1:
        classes = known["classes"].shape[0]
        if known["classes"].dtype.kind == "U":
            names = tuple(map(str, archive.array(path, "classes")))
    places = [f"{spec.path}: {spec.labels}[{index}]" for index in range(shape[0])]
    return _listing(
        ArchiveImages(path, spec.images, shape[0]),
        values - (spec.labels_from or 0),
        spec.classes or classes,
        places,
        found,
        names,
        wanted,
    )


def _folder(spec: Folder, goal: Goal, base: Path, found: Found) -> Listing | None:
    root = base / expanded(spec.root)
    if not root.is_dir():
        found.add("data.root", f"no such folder: {root}")
        return None
    if spec.labels is None:
        layout = Layout(root, spec.root, spec.classes, spec.labels_from)
        return _in_class_folders(layout, lambda names: one_size(root, names, spec.size), found)
    targeted = goal is Goal.TARGETED and spec.wanted in (None, "listed")
    read = read_label_file(spec.labels, base, root, spec.labels_from, targeted, found)
    if not read.names:
        if not found:
            found.add("data.root", f"no image files: {root}")
        return None
    return _listing(
        FileImages(root, tuple(read.names), one_size(root, read.names, spec.size)),
        np.asarray(read.labels, dtype=np.int64),
        spec.classes,
        read.places,
        found,
        wanted=None if read.wanted is None else np.asarray(read.wanted, dtype=np.int64),
    )


def _cifar10(spec: Cifar10, base: Path, found: Found) -> Listing | None:
    root = base / expanded(spec.root)
    try:
        official = cifar10(root)
    except RuntimeError:
        found.add(
            "data.root",
            f"CIFAR-10 is not there, or a file of it is damaged: fetch "
            f"https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz and unpack it in {root}, "
            f"so that {root / 'cifar-10-batches-py' / 'test_batch'} exists",
        )
        return None
    labels = np.asarray(official.targets, dtype=np.int64)
    store = CifarImages(root)
    return Listing(store, tuple(store.names), np.arange(len(labels)), labels, 10, CIFAR10_CLASSES)


def _imagenet(spec: ImageNet, base: Path, found: Found) -> Listing | None:
    root = base / expanded(spec.root)
    if spec.size > spec.resize:
        found.add("data.size", f"{spec.size} does not fit into `resize`, {spec.resize}")
    if not root.is_dir():
        found.add("data.root", f"no such folder: {root}")
        return None
    layout = Layout(root, spec.root, spec.classes, spec.labels_from, imagenet=True)
    fit = Fit(shorter=spec.resize, crop=(spec.size, spec.size))
    return _in_class_folders(layout, lambda names: fit, found)


def _in_class_folders(
    layout: Layout, fit: Callable[[Sequence[str]], Fit], found: Found
) -> Listing | None:
    read = class_folders(layout, found)
    if read is None:
        return None
    return _listing(
        FileImages(layout.root, tuple(read.names), fit(read.names)),
        np.asarray(read.labels, dtype=np.int64),
        read.classes,
        read.names,
        found,
        read.class_names,
    )


def _listing(
    store: ArchiveImages | FileImages,
    labels: Positions,
    classes: int | None,
    places: list[str],
    found: Found,
    class_names: tuple[str, ...] = (),
    wanted: Positions | None = None,
) -> Listing:
    if classes is None:
        highest = int(labels.max()) if wanted is None else max(int(labels.max()), int(wanted.max()))
        classes = max(highest + 1, 2)
    if excess := too_many(classes):
        found.add(places[int(labels.argmax())], excess)
    for what, values in (("label", labels), ("wanted class", wanted)):
        if values is not None:
            _check_range(what, values, classes, places, found)
    if wanted is not None and (same := np.flatnonzero(wanted == labels)).size:
        found.add(places[same[0]], f"the wanted class is the true one ({same.size:,} examples)")
    positions = np.arange(len(labels))
    return Listing(store, tuple(store.names), positions, labels, classes, class_names, wanted)


def _check_range(
    what: str, values: Positions, classes: int, places: list[str], found: Found
) -> None:
    """Report classes that do not exist, as one problem."""
    outside = np.flatnonzero((values < 0) | (values >= classes))
    if not outside.size:
        return
    text = f"{what} {values[outside[0]]} is no class, expected 0..{classes - 1}"
    if outside.size > 1:
        text += f"; {outside.size:,} examples have such a {what}"
    if values.min() == 1 and values.max() == classes:
        text += f"; they run from 1 to {classes}: if the first class is 1, set `labels_from: 1`"
    found.add(places[outside[0]], text)
