"""The files below a folder, as people's disks have them: with links, hidden files and debris."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gauntlet.pipeline.data.decoding import SUFFIXES
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.files import escaped
from gauntlet.pipeline.problems import BadInput, Problem

_DEEPEST = 100
"""Folders inside each other."""
_REPEATS = 1_000
"""Times that folders may be read again by another way, beside once each. A dozen that link to each
other have millions of ways through them, none of them a circle."""

_SYSTEM = frozenset(
    {
        *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "lost+found"),
        *("$recycle.bin", "recycler", "system volume information"),
    }
)
"""What archives, file managers, network disks and file systems leave behind, in lower case."""


def is_system(name: str) -> bool:
    """Return whether a file or folder is no data by its name: hidden, or left by a system."""
    return name.startswith(".") or name.lower() in _SYSTEM


@dataclass
class Tree:
    """What is below a folder; paths are relative, with ``/``. Hidden and system names are absent.

    Names are text: bytes that are not UTF-8 are escaped, and such a file cannot be opened.

    Attributes:
        folders: names of the sub-folders, links to folders among them, sorted.
        images: image files by suffix, sorted.
        others: other files, sorted.
        dangling: links that lead nowhere.
        circular: links to a folder that they lie in.
    """

    folders: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    circular: list[str] = field(default_factory=list)


def read_tree(root: Path) -> Tree:
    """Return what is below a folder; links are followed, each circle once.

    Raises:
        BadInput: when folders are nested, or linked to each other, without end.
        OSError: when a folder cannot be read.
    """
    tree = Tree()
    _Reader(root, tree).read(root, "", (_identity(root),))
    for names in (tree.folders, tree.images, tree.others):
        names.sort()
    return tree


def note_left_out(files: Iterable[str], found: Found) -> None:
    """Record files that are no images by their suffix, one entry a suffix."""
    by_suffix: dict[str, list[str]] = defaultdict(list)
    for name in files:
        by_suffix[PurePosixPath(name).suffix.lower()].append(name)
    for suffix, names in sorted(by_suffix.items()):
        found.leave_out(f"with suffix {suffix}" if suffix else "without suffix", names)


class _Reader:
    """Walks through folders, and knows where it has been."""

    def __init__(self, root: Path, tree: Tree) -> None:
        self._root, self._tree = root, tree
        self._known: set[tuple[int, int]] = set()
        self._repeats = 0

    def read(self, folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> None:
        """Add what is in a folder, and in those inside it.

        Args:
            folder: the folder.
            prefix: its path below the root, with ``/`` at the end.
            above: itself and the folders that it lies in.
        """
        self._refuse_endless(prefix, above)
        with os.scandir(folder) as entries:
            listed = [entry for entry in entries if not is_system(entry.name)]
        for entry in listed:
            name = f"{prefix}{escaped(entry.name)}"
            if _leads_nowhere(entry):
                self._tree.dangling.append(name)
            elif entry.is_dir():
                identity = _identity(Path(entry.path))
                if identity in above:
                    self._tree.circular.append(name)
                    continue
                if not prefix:
                    self._tree.folders.append(name)
                self.read(Path(entry.path), f"{name}/", (*above, identity))
            elif entry.is_file():
                suffix = PurePosixPath(name).suffix.lower()
                (self._tree.images if suffix in SUFFIXES else self._tree.others).append(name)

    def _refuse_endless(self, prefix: str, above: tuple[tuple[int, int], ...]) -> None:
        self._repeats += above[-1] in self._known
        self._known.add(above[-1])
        linked = self._repeats > _REPEATS + len(self._known)
        if len(above) > _DEEPEST or linked:
            many = f"nested more than {_DEEPEST} deep"
            if linked:
                many = f"linked to each other, with {self._repeats:,} ways to the same ones"
            place = prefix if len(prefix) <= 80 else f"{prefix[:77]}..."
            raise BadInput(Problem(str(self._root), f"folders are {many}, as at {place}"))


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)  # also false for a link to itself


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
