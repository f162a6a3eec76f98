"""Storage that fails is tried again for a time; who fails to write has told where and why."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from gauntlet.pipeline.results import patience as module
from gauntlet.pipeline.results.lock import Lock, LockLost
from gauntlet.pipeline.results.patience import Patience, StorageFailed
from gauntlet.pipeline.results.storage import Storage

FULL = OSError(errno.ENOSPC, "No space left on device", "/run/_parts/.x")


class Acts:
    """Fails as often as there are errors, then works."""

    def __init__(self, *errors: OSError) -> None:
        self.errors, self.tries = [*errors], 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "written"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    return []


def test_what_works_again_in_time_is_told_once_and_goes_on(told: list[str]) -> None:
    patience, act = Patience(600, "/run", told.append), Acts(FULL, FULL, FULL)
    assert patience.insist(act) == "written"
    assert told == ["/run: No space left on device", ""]
    assert patience.insist(act) == "written"
    assert len(told) == 2


def test_what_fails_all_the_while_ends_with_where_and_why(told: list[str]) -> None:
    act = Acts(FULL, FULL)
    with pytest.raises(StorageFailed, match=r"^/run: No space left on device \(for 0 s\)$"):
        Patience(0, "/run", told.append).insist(act)
    assert act.tries == 1


@pytest.mark.parametrize("error", [LockLost("another's"), FileExistsError("another's")])
def test_what_another_driver_wrote_is_not_tried_again(error: OSError, told: list[str]) -> None:
    act = Acts(error)
    with pytest.raises(type(error), match="another's"):
        Patience(600, "/run", told.append).insist(act)
    assert (act.tries, told) == (1, [])


def test_a_held_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "run"))
    storage.write("plan.json", b"{}")
    with Lock(storage) as lock:
        shutil.move(tmp_path / "run", tmp_path / "elsewhere")
        for write in (lambda: storage.write("a/b", b""), lambda: storage.create("c", b"")):
            with pytest.raises(FileNotFoundError):
                write()
        with pytest.raises(FileNotFoundError, match="No such file"):
            lock.check()
        assert os.listdir(tmp_path) == ["elsewhere"]
        shutil.move(tmp_path / "elsewhere", tmp_path / "run")
        lock.check()
        storage.write("a/b", b"")


def test_a_failing_clean_up_does_not_hide_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise FULL

    def read_only(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match="No space left"):
        Storage(str(tmp_path)).write("a", b"a")
