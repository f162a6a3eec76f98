"""Rows of archives' arrays: those that are asked for, and little else in memory."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gauntlet.pipeline import user_cache
from gauntlet.pipeline.data import archive_rows
from gauntlet.pipeline.data.archive_rows import rows
from gauntlet.pipeline.data.stores import ArchiveImages
from gauntlet.pipeline.problems import BadInput

IMAGES = np.arange(400 * 100 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(400, 100, 100, 3)
"""12 MB."""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(archive_rows, "HELD", 2**20)


def saved(path: Path, images: np.ndarray, compressed: bool) -> Path:
    save = np.savez_compressed if compressed else np.savez
    save(path, labels=np.zeros(3), images=images)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_images_are_read_without_the_others(tmp_path: Path, compressed: bool) -> None:
    path = saved(tmp_path / "set.npz", IMAGES, compressed)
    store, wanted = ArchiveImages(path, "images", len(IMAGES)), [399, 0, 7, 7]
    tracemalloc.start()
    try:
        found = store.read_all(wanted)
        mark = store.fingerprint(wanted)
        assert tracemalloc.get_traced_memory()[1] < IMAGES.nbytes / 2
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, IMAGES[wanted])
    np.testing.assert_array_equal(store.read(11), IMAGES[11])
    moved = saved(tmp_path / "copy.npz", IMAGES, not compressed)
    assert ArchiveImages(moved, "images", len(IMAGES)).fingerprint(wanted) == mark


def unfolded() -> list[Path]:
    return [*user_cache.folder("arrays").iterdir()]


def test_a_compressed_array_is_unfolded_once_and_anew_when_it_changes(tmp_path: Path) -> None:
    path = saved(tmp_path / "set.npz", IMAGES, compressed=True)
    rows(path, "images", [0])
    (first,) = unfolded()
    made = first.stat().st_mtime_ns
    archive_rows._place.cache_clear()  # as another process
    np.testing.assert_array_equal(rows(path, "images", [5]), IMAGES[[5]])
    assert [file.stat().st_mtime_ns for file in unfolded()] == [made]
    saved(path, IMAGES[::-1], compressed=True)
    np.testing.assert_array_equal(rows(path, "images", [5]), IMAGES[::-1][[5]])
    (second,) = unfolded()
    assert second != first


def test_small_arrays_and_those_by_columns_need_no_file(tmp_path: Path) -> None:
    small = saved(tmp_path / "small.npz", IMAGES[:9], compressed=True)
    columns = saved(tmp_path / "columns.npz", np.asfortranarray(IMAGES), compressed=False)
    np.testing.assert_array_equal(rows(small, "images", [8, 2]), IMAGES[[8, 2]])
    np.testing.assert_array_equal(rows(columns, "images", [8, 2]), IMAGES[[8, 2]])
    assert not user_cache.folder("arrays").exists()


def test_a_wrong_bit_and_a_file_that_became_shorter_are_found(tmp_path: Path) -> None:
    path = saved(tmp_path / "set.npz", IMAGES, compressed=False)
    sound = path.read_bytes()
    rows(path, "images", [0])
    with zipfile.ZipFile(path) as archive:
        middle = archive.getinfo("images.npy").header_offset + IMAGES.nbytes // 2
    path.write_bytes(sound[:middle] + bytes([sound[middle] ^ 4]) + sound[middle + 1 :])
    with pytest.raises(BadInput, match=r"'images' cannot be read: Bad CRC-32"):
        rows(path, "images", [0])
    path.write_bytes(sound)
    place = archive_rows._place(path, "images", path.stat().st_mtime_ns)
    assert place is not None
    path.write_bytes(sound[:middle])
    with pytest.raises(EOFError, match="ends early"):
        place.read([399])
