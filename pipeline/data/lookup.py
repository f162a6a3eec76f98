"""Finding image files by the names that lists give them."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.decoding import SUFFIXES
from gauntlet.pipeline.data.found import Found
from gauntlet.pipeline.data.stores import stays_below
from gauntlet.pipeline.data.tree import read_tree

_DRIVE = re.compile(r"^[A-Za-z]:(?=/)")


@dataclass(frozen=True)
class Named:
    """The files that a list names.

    Attributes:
        files: path below the root of each name that has a file; a name that needs no help is its
            own path.
        missing: the other names, in their order.
    """

    files: dict[str, str]
    missing: tuple[str, ...]


def find_files(names: Sequence[str], root: Path, source: str, found: Found) -> Named:
    """Return the files below a folder that a list names.

    A name is first taken as it stands. Otherwise it is read as annotation tools, other systems and
    converted copies of a data set write it: as a ``file://`` address, with back-slashes, in other
    letter case or Unicode form, with another image suffix or none. Where no name has a file, the
    folders that all of them start with are taken off: those of the list's author.

    Args:
        names: as the list has them.
        root: the folder.
        source: what to call the list.
        found: is told how names were read.
    """
    distinct = list(dict.fromkeys(names))
    files = {name: name for name in distinct if stays_below(name) and (root / name).is_file()}
    rest = [name for name in distinct if name not in files]
    if not rest:
        return Named(files, ())
    folder = Folder(root)
    plain = {name: _plain(name, root) for name in rest}
    helped = {name: file for name in rest if (file := folder.file(plain[name])) is not None}
    prefix = ""
    if not files and not helped:
        for prefix in _prefixes(list(plain.values())):
            helped = {
                name: file
                for name in rest
                if (file := folder.file(plain[name].removeprefix(prefix))) is not None
            }
            if helped:
                break
    for name, file in helped.items():
        files[name] = file
    _note_help(helped, plain, prefix, source, found)
    return Named(files, tuple(name for name in distinct if name not in files))


class Folder:
    """Files below a folder by names that need not be spelled as on disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listings: dict[str, dict[str, list[str]]] = {}

    def file(self, name: str) -> str | None:
        """Return the path of the one file that a name can mean, or None."""
        if not stays_below(name):
            return None
        path = ""
        *folders, last = name.split("/")
        for part in folders:
            inside = self._listing(path).get(_folded(part), [])
            exact = [entry for entry in inside if entry == part] or inside
            if len(exact) != 1:
                return None
            path = posixpath.join(path, exact[0])
        candidates = self._listing(path).get(_folded(last), [])
        files = [posixpath.join(path, entry) for entry in candidates]
        files = [file for file in files if (self._root / file).is_file()]
        if not files:
            files = self._with_suffix(path, last)
        return files[0] if len(files) == 1 else None

    def _with_suffix(self, path: str, last: str) -> list[str]:
        """Return files of this name, or of its stem, with any suffix of an image."""
        stem, suffix = posixpath.splitext(last)
        stems = [last, stem] if suffix.lower() in SUFFIXES else [last]
        listing = self._listing(path)
        return [
            posixpath.join(path, entry)
            for folded in dict.fromkeys(map(_folded, stems))
            for known in sorted(SUFFIXES)
            for entry in listing.get(folded + known, ())
        ]

    def _listing(self, path: str) -> dict[str, list[str]]:
        if path not in self._listings:
            listing: dict[str, list[str]] = defaultdict(list)
            place = self._root / path
            if place.is_dir():
                for entry in sorted(os.listdir(place)):
                    listing[_folded(entry)].append(entry)
            self._listings[path] = listing
        return self._listings[path]


def report_missing(
    named: Named, name: str, where: str, root: Path, field: str, many: str, found: Found
) -> None:
    """Report a name without a file: one problem a name, or one for all if no name has a file.

    Args:
        named: what was found of the list.
        name: the name.
        where: the line, ``pairs.csv:17``.
        root: the folder.
        field: the job's field that names the folder.
        many: how to count the lines of one name, such as ``needed by {} pairs``.
        found: takes the problem.
    """
    if named.files or len(named.missing) == 1:
        found.add(where, f"no image {name!r} (or with another suffix) in {root}", many)
    elif name == named.missing[0]:
        count = len(named.missing)
        what = f"none of the {count:,} listed files is in {root}; the first is {name!r} ({where})"
        found.add(field, what + _elsewhere(name, root), "{} lines name the first")


def _elsewhere(name: str, root: Path) -> str:
    """Return where else below the root there is a file of that name, in words."""
    last = posixpath.basename(name.replace("\\", "/"))
    if not root.is_dir():
        return ""
    there = [file for file in read_tree(root).images if posixpath.basename(file) == last]
    return f"; {root / there[0]} exists: is that its folder?" if len(there) == 1 else ""


def _plain(name: str, root: Path) -> str:
    """Return a name as a path with ``/``, relative to the root if it lies there."""
    plain = name
    if plain.lower().startswith("file:"):
        plain = unquote(plain[len("file:") :])
        plain = "/" + plain.lstrip("/")
    plain = _DRIVE.sub("", plain.replace("\\", "/").removeprefix("/") if _windows(plain) else plain)
    plain = posixpath.normpath(plain) if plain else plain
    for above in (root, root.resolve()):
        inside = f"{above.as_posix()}/"
        if plain.startswith(inside):
            return plain[len(inside) :]
    return plain.lstrip("/")


def _windows(name: str) -> bool:
    return "\\" in name or _DRIVE.match(name.removeprefix("/")) is not None


def _prefixes(plain: Sequence[str]) -> list[str]:
    """Return the folders that all paths start with, ``a/``, ``a/b/``, shortest first."""
    parents = [posixpath.dirname(path) for path in plain]
    if not all(parents):
        return []
    parts = posixpath.commonpath(parents).split("/")
    return ["/".join(parts[:count]) + "/" for count in range(1, len(parts) + 1) if parts[0]]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _note_help(
    helped: dict[str, str], plain: dict[str, str], prefix: str, source: str, found: Found
) -> None:
    if not helped:
        return
    if prefix:
        found.note(
            f"{source}: names start with {prefix!r}, which is not below the folder: left out"
        )
    respelled = [
        f"{name!r} is {file!r}"
        for name, file in helped.items()
        if plain[name].removeprefix(prefix) != file
    ]
    if respelled:
        found.note(
            f"{source}: {len(respelled):,} names in another letter case, Unicode form or suffix "
            f"than their files ({first_names(respelled)})"
        )
