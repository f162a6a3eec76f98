"""Folders and files on a local path that can be written, and that no power cut can take away."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def make(folder: Path) -> None:
    """Make a folder and those that it lies in, on the disk."""
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder above the run's, which is somebody else's
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that know no such thing, mostly of folders
            raise
    finally:
        os.close(handle)


def unwritable(folder: Path, name: str) -> str | None:
    """Return why nothing can be written to a folder, if that is so; leave nothing behind.

    Args:
        folder: where it lies, or would.
        name: what the person calls it.
    """
    missing: list[Path] = []
    try:
        there = folder
        while not there.exists():
            missing.append(there)
            there = there.parent
        if not there.is_dir():
            return f"{there} is a file; expected a folder"
        made: list[Path] = []
        try:
            # Tried, because permissions do not tell: a file system may refuse even root.
            for path in reversed(missing):
                path.mkdir()
                made.append(path)
            with tempfile.TemporaryFile(dir=folder):
                pass
        finally:
            with suppress(OSError):
                for path in reversed(made):
                    path.rmdir()
    except OSError as error:
        verb = "created" if missing else "written to"
        return f"{name} cannot be {verb}: {error.strerror or error}"
    return None
