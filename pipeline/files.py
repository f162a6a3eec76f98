"""Asking what a path is before it is read: a job, and what it names, may have been sent by anyone.

Reading a device never ends, opening a named pipe waits for a writer, and some names are none at
all. Whatever opens a file that a person, a job or a data set names asks here first.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "is a folder; expected a file",
    stat.S_IFIFO: "is a named pipe; expected a file",
    stat.S_IFCHR: "is a device; expected a file",
    stat.S_IFBLK: "is a device; expected a file",
    stat.S_IFSOCK: "is a socket; expected a file",
}


def obstacle(path: Path) -> str | None:
    """Return why a path cannot be read as a file; None for a regular file, links followed.

    The file is not opened: that alone may wait for ever.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except ValueError:  # a NUL, or half of a surrogate pair
        return "no file can have such a name"
    return None if kind == stat.S_IFREG else _KINDS.get(kind, "is not a regular file")


def expanded(text: str) -> Path:
    """Return the path that a person wrote, with ``~`` as the home folder.

    A ``~name`` of nobody is left as it is: there is no such file, which is then said of it.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def escaped(name: str) -> str:
    r"""Return a file's name as text: bytes that are not UTF-8 become ``\xe9``.

    Python keeps such bytes as halves of surrogate pairs, which nothing can print, hash or store.
    """
    try:
        content = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other halves, which no file's name holds
        content = name.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")
