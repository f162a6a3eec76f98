"""Folders and files that no power cut can take away."""

from __future__ import annotations

import errno
import os
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
