"""Labelled images: from an archive, a folder, CIFAR-10, ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.batch import Goal
from pipeline.data import archive
from pipeline.data.csv_table import read_table, whole_number
from pipeline.data.decoding import Fit
from pipeline.data.findings import Found
from pipeline.data.listing import Listing, Positions
from pipeline.data.spec import Cifar10, Folder, ImageNet, Labelled, Npz
from pipeline.data.stores import (
    ArchiveImages,
    CifarImages,
    FileImages,
    cifar10,
    image_files,
    one_size,
    stays_below,
)
from pipeline.draws import Draws


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
            return _npz(spec, base, found)
        case Folder():
            return _folder(spec, base, found)
        case Cifar10():
            return _cifar10(spec, base, found)
        case ImageNet():
            return _imagenet(spec, base, found)
    raise TypeError(f"no reader for {type(spec).__name__}")


def wanted_classes(spec: Labelled, listing: Listing, seed: int) -> Positions:
    """Return the classes that a targeted attacker wants, (N,), each another than the true one."""
    assert listing.labels is not None, "only labelled images have wanted classes"
    assert listing.classes is not None, "only labelled images have wanted classes"
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


def _npz(spec: Npz, base: Path, found: Found) -> Listing | None:
    path = base / Path(spec.path).expanduser()
    known = archive.headers(path, "data.path", found)
    if known is None:
        return None
    shape = archive.check_images(known, spec.images, "data.images", found)
    if not _has_labels(known, spec.labels, shape, found) or shape is None:
        return None
    store = ArchiveImages(path, spec.images, shape[0])
    values = archive.array(path, spec.labels).astype(np.int64)
    classes = spec.classes
    if classes is None and "classes" in known and len(known["classes"].shape) == 1:
        classes = known["classes"].shape[0]
    places = [f"{spec.path}: {spec.labels}[{index}]" for index in range(shape[0])]
    return _listing(store, values, classes, places, found)


def _has_labels(
    known: dict[str, archive.Header], name: str, shape: tuple[int, int, int] | None, found: Found
) -> bool:
    labels = known.get(name)
    if labels is None:
        have = ", ".join(known) or "none"
        found.add("data.labels", f"the archive has no array {name!r}; it has {have}")
    elif labels.dtype.kind not in "iu" or len(labels.shape) != 1:
        found.add(
            "data.labels",
            f"array {name!r} is {labels.dtype} {labels.shape}, expected integers (N,)",
        )
    elif shape is not None and labels.shape[0] != shape[0]:
        found.add("data.labels", f"{labels.shape[0]} labels for {shape[0]} images")
    else:
        return True
    return False


def _folder(spec: Folder, base: Path, found: Found) -> Listing | None:
    root = base / Path(spec.root).expanduser()
    if not root.is_dir():
        found.add("data.root", f"no such folder: {root}")
        return None
    if spec.labels is not None:
        names, values, places = _file_labels(spec.labels, root, base, found)
        classes = spec.classes
    else:
        folders = _subfolders(root)
        names = [name for name in image_files(root) if "/" in name]
        number = {folder: label for label, folder in enumerate(folders)}
        values = [number[name.split("/")[0]] for name in names]
        places = names
        classes = spec.classes or len(folders)
    if not names:
        if not found:
            hint = "" if spec.labels else " in class sub-folders; name the classes with `labels`"
            found.add("data.root", f"no image files{hint}: {root}")
        return None
    store = FileImages(root, tuple(names), one_size(root, names, spec.size))
    return _listing(store, np.asarray(values, dtype=np.int64), classes, places, found)


def _file_labels(
    name: str, root: Path, base: Path, found: Found
) -> tuple[list[str], list[int], list[str]]:
    path = base / Path(name).expanduser()
    table = read_table(path, name, "data.labels", [("file", "label")], found)
    labels: dict[str, int] = {}
    places: list[str] = []
    for row in table.rows if table is not None else []:
        file, text = row.cells
        label = whole_number(text)
        if label is None:
            found.add(row.where, f"label {text!r} is no class number 0, 1, ...")
        elif not stays_below(file) or not (root / file).is_file():
            found.add(row.where, f"no image {file!r} in {root}")
        elif file in labels:
            found.add(row.where, f"{file!r} is named twice")
        else:
            labels[file] = label
            places.append(row.where)
    return list(labels), list(labels.values()), places


def _cifar10(spec: Cifar10, base: Path, found: Found) -> Listing | None:
    root = base / Path(spec.root).expanduser()
    try:
        labels = np.asarray(cifar10(root).targets, dtype=np.int64)
    except RuntimeError:
        found.add(
            "data.root",
            f"CIFAR-10 is not there, or a file of it is damaged: fetch "
            f"https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz and unpack it in {root}, "
            f"so that {root / 'cifar-10-batches-py' / 'test_batch'} exists",
        )
        return None
    return Listing(
        CifarImages(root), tuple(CifarImages(root).names), np.arange(len(labels)), labels, 10
    )


def _imagenet(spec: ImageNet, base: Path, found: Found) -> Listing | None:
    root = base / Path(spec.root).expanduser()
    if spec.size > spec.resize:
        found.add("data.size", f"{spec.size} does not fit into `resize`, {spec.resize}")
    if not root.is_dir():
        found.add("data.root", f"no such folder: {root}")
        return None
    folders = _subfolders(root)
    if len(folders) != spec.classes:
        found.add(
            "data.root",
            f"{root} has {len(folders)} class folders, expected {spec.classes}: labels are places "
            "in the sorted list of all classes; keep empty folders for classes without images",
        )
        return None
    names = [name for name in image_files(root) if "/" in name]
    if not names:
        found.add("data.root", f"no image files in class sub-folders: {root}")
        return None
    number = {folder: label for label, folder in enumerate(folders)}
    values = np.asarray([number[name.split("/")[0]] for name in names], dtype=np.int64)
    fit = Fit(shorter=spec.resize, crop=(spec.size, spec.size))
    return _listing(FileImages(root, tuple(names), fit), values, spec.classes, names, found)


def _subfolders(root: Path) -> list[str]:
    return sorted(
        path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _listing(
    store: ArchiveImages | FileImages,
    labels: Positions,
    classes: int | None,
    places: list[str],
    found: Found,
) -> Listing:
    if classes is None:
        classes = max(int(labels.max()) + 1, 2)
    for position in np.flatnonzero((labels < 0) | (labels >= classes)).tolist():
        found.add(
            places[position], f"label {labels[position]} is no class, expected 0..{classes - 1}"
        )
    return Listing(store, tuple(store.names), np.arange(len(labels)), labels, classes)
