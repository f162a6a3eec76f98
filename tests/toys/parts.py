"""Runs whose tables stay in parts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest


@contextmanager
def left_in_parts() -> Iterator[None]:
    """No run is compacted in this context: its disk has no room for a second copy of a table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
        yield
