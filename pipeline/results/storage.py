"""Files of a run's folder, on a local path or an object store: each there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import fs

from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.conditional import ConditionalStore
from gauntlet.pipeline.results.durable import make, sync, unwritable
from gauntlet.pipeline.results.object_store import explained, opened
from gauntlet.pipeline.results.store_address import Address, below, is_remote

_ASIDE = re.compile(r"\..+\.[0-9a-f]{32}")
STAGING = "_parts"
"""Where files wait for the commit that makes them count; Arrow passes over such folders."""


class Storage:
    """Reads and writes the files of one run (``s3://``, ``gs://`` and ``az://``, or a local path).

    Attributes:
        location: as a person wrote it.
        remote: the address of an object store; None of a local path.

    Raises:
        BadInput: when an address names no store, or its store cannot be reached.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.remote: Address | None = None
        if is_remote(location):
            self.remote = Address.read(location)
            self._fs, self._root = opened(self.remote), self.remote.path
        else:
            try:
                self._fs, self._root = fs.LocalFileSystem(), str(Path(location).resolve())
                self._root.encode()
            except (ValueError, OSError, RuntimeError) as error:
                reason = "not UTF-8" if isinstance(error, UnicodeError) else error
                what = f"no name for a run's folder ({reason}); choose another one"
                raise BadInput(Problem(location, what)) from None
        self._local = self.remote is None
        self._held = False
        self._written: set[str] = set()

    @cached_property
    def conditional(self) -> ConditionalStore | None:
        """What writes under conditions; None where file systems and locks see to that.

        Raises:
            BadInput: when what an object store takes for it is not installed.
        """
        return None if self.remote is None else ConditionalStore(self.remote)

    @property
    def moves(self) -> bool:
        """Whether files are moved to their place once they count; object stores only copy."""
        return self._local

    def room(self) -> int | None:
        """Return how many bytes are free here; None where nobody knows, as in object stores."""
        if not self._local:
            return None
        there = Path(self._root)
        while not there.exists():
            there = there.parent
        return shutil.disk_usage(there).free

    def hold(self) -> None:
        """Take it that the folder is there from now on: what is written never makes it anew.

        One that was moved or deleted would otherwise leave a second one, of which nobody could
        make anything.
        """
        self._held = True

    def require(self) -> None:
        """Check that the folder that is held is there.

        Raises:
            FileNotFoundError: when it was moved or deleted.
        """
        if self._held and self._local and not os.path.isdir(self._root):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._root)

    def exists(self, name: str = "plan.json") -> bool:
        """Return whether a file of the run is there."""
        found = self._fs.get_file_info(self._path(name)).type
        return bool(found != fs.FileType.NotFound)

    def obstacle(self) -> str | None:
        """Return why nothing can be written here, if that is so; leave nothing behind."""
        if self.remote is None:
            return unwritable(Path(self._root), self.location)
        name = f".probe-{uuid.uuid4().hex}"
        try:
            self.create(name, b"")
            self.read(name)
            self.delete(name)
        except BadInput as error:
            return error.problems[0].what
        except OSError as error:
            return explained(self.remote, str(error))
        return None

    def write(self, name: str, content: bytes | pa.Buffer, *, durable: bool = True) -> None:
        """Write a file so that it is there whole or not at all.

        Args:
            name: of the file, in the run's folder.
            content: of the file.
            durable: return only when a power cut can't take it away (what an object store has, it
                keeps); without, `sync` sees to it.
        """
        path = self._path(name)
        self._written.add(name)
        if not self._local:
            with self._fs.open_output_stream(path) as stream:
                stream.write(content)
            return
        self._make(Path(path).parent)
        aside = Path(path).with_name(f".{Path(path).name}.{uuid.uuid4().hex}")
        try:
            with aside.open("wb") as stream:
                stream.write(content)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            aside.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)  # a full disk must not fill up with remains
            raise
        if durable:
            sync(Path(path).parent)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file that is not there yet; return whether this call did.

        Of several that try, one succeeds, and on a local path the others may find the file empty
        for a moment.
        """
        if self.conditional is not None:
            created = self.conditional.create(name, content)
            self._written |= {name} if created else set()
            return created
        path = Path(self._path(name))
        self._make(path.parent)
        try:
            with path.open("xb", buffering=0) as stream:
                stream.write(content)
        except FileExistsError:
            return False
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)  # of a full disk
            raise
        self._written.add(name)
        return True

    def write_once(self, name: str, content: bytes) -> None:
        """Write a file that nobody else writes: who holds a local run is alone, of object stores
        one that lost its lease might not know it yet.

        Raises:
            FileExistsError: when somebody else did.
        """
        if self._local:
            self.write(name, content)
        elif not self.create(name, content):
            what = "is there already: another driver is at work on this run"
            raise FileExistsError(f"{below(self.location, name)} {what}")

    def sync(self, names: Iterable[str]) -> None:
        """Return when no power cut can take these files away."""
        if not self._local:
            return
        paths = [Path(self._path(name)) for name in names]
        for path in [*paths, *sorted({path.parent for path in paths})]:
            sync(path)

    def staged(self, folder: str) -> dict[str, int]:
        """Return the files that wait for their place in a folder, as `sizes` does."""
        waiting = self.sizes(f"{STAGING}/{folder}")
        return {name.removeprefix(f"{STAGING}/"): size for name, size in waiting.items()}

    def place(self, names: Iterable[str]) -> None:
        """Move files that count from where they were staged to their place.

        Object stores move nothing: there they stay, and are found all the same.
        """
        if not self._local:
            return
        for name in names:
            staged, place = Path(self._path(f"{STAGING}/{name}")), Path(self._path(name))
            if staged.exists():
                self._make(place.parent)
                staged.replace(place)

    def draft(self, name: str) -> IO[bytes]:
        """Open a file that grows piece by piece, and is nobody's before `adopt`.

        It is not written aside: what a killed process leaves of it is found and removed.
        """
        path = self._path(name)
        if self._local:
            self._make(Path(path).parent)
            return Path(path).open("wb")
        stream: IO[bytes] = self._fs.open_output_stream(path)
        return stream

    def adopt(self, draft: str, name: str) -> None:
        """Give a closed draft its name: when this returns no power cut can take it away."""
        if self._local:
            path = Path(self._path(name))
            sync(Path(self._path(draft)))
            Path(self._path(draft)).replace(path)
            sync(path.parent)
        else:
            self._fs.copy_file(self._path(draft), self._path(name))
            self.delete(draft)

    def opened(self, name: str) -> pa.NativeFile:
        """Open a file to be read piece by piece.

        Raises:
            OSError: when it cannot be read.
        """
        if self._local and (what := obstacle(Path(self._path(name)))):
            raise OSError(what)
        return self._fs.open_input_file(self._path(name))

    def located(self, name: str) -> str:
        """Return under which name a file lies: its own, or the one that it was staged under."""
        staged = f"{STAGING}/{name}"
        return staged if not self.exists(name) and self.exists(staged) else name

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the files in a folder of the run and their sizes in bytes, without those aside."""
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        try:
            found = self._fs.get_file_info(selector)
        except FileNotFoundError:  # made after it could not be listed and before it was missed
            found = self._fs.get_file_info(selector)
        return {
            f"{folder}/{info.base_name}": -1 if info.size is None else info.size
            for info in sorted(found, key=lambda info: info.path)
            if not info.base_name.startswith(".") and info.type != fs.FileType.Directory
        }

    def age(self, name: str) -> float | None:
        """Return how many seconds ago a file was written, by this machine's clock; None if gone."""
        written = self._fs.get_file_info(self._path(name)).mtime_ns
        return None if written is None else time.time() - written / 1e9

    def touch(self, name: str) -> None:
        """Make a file on a local path as new as if it had just been written."""
        os.utime(self._path(name))

    def read(self, name: str) -> bytes:
        """Return a file's content.

        Raises:
            OSError: when it cannot be read.
        """
        if self._local and (what := obstacle(Path(self._path(name)))):
            raise OSError(what)
        with self._fs.open_input_stream(self._path(name)) as stream:
            return bytes(stream.read())

    def delete(self, name: str) -> None:
        """Delete a file if it is there.

        Raises:
            BadInput: when it is a folder, whose content is not ours.
        """
        if self.conditional is not None:
            self.conditional.delete(name)
        elif self.exists(name):
            path = self._path(name)
            if os.path.isdir(path) and not os.path.islink(path):
                raise BadInput(Problem(path, "is a folder; expected a file: remove it"))
            self._fs.delete_file(path)

    def discard(self, name: str) -> None:
        """Delete a file of a table, whether it has its place already or was only staged."""
        self.delete(name)
        self.delete(f"{STAGING}/{name}")

    def sweep(self) -> None:
        """Delete what killed processes left half written."""
        if self._local:
            staged = Path(self._path(STAGING)).glob("**/.*")
            aside = (path for path in Path(self._root).glob("**/.*") if _ASIDE.fullmatch(path.name))
            for path in (*staged, *aside):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folders in which nothing is staged any more."""
        if self._local:
            staging = Path(self._path(STAGING))
            for folder in (*staging.glob("*"), staging):
                with contextlib.suppress(OSError):  # not empty, or not there
                    folder.rmdir()

    @property
    def address(self) -> str:
        """Where it is, for a process with another working directory and environment."""
        return self._root if self.remote is None else self.remote.text

    def withdraw(self) -> None:
        """Delete what was written through this object, and the folders that it leaves empty."""
        for name in sorted(self._written):
            self.delete(name)
        if self._local:
            root = Path(self._root)
            inner = {(root / name).parent for name in self._written}
            for folder in sorted({*inner, root}, key=lambda path: -len(path.parts)):
                with contextlib.suppress(OSError):  # somebody else's files are in it
                    folder.rmdir()
        self._written.clear()

    def _make(self, folder: Path) -> None:
        self.require()
        make(folder)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
