"""Where a run and who disturbs it meet: files in a folder that both know."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

VARIABLE = "GAUNTLET_TEST_GATES"
"""Names the folder to the processes of a run, who have it from their parents."""
LIMIT = 900.0
"""Seconds that a held pass waits at most: whoever holds it may be gone."""
LOOK = 0.005
"""Seconds between two looks at a file."""


@dataclass(frozen=True)
class Sickness:
    """How models answer from some pass on.

    Attributes:
        how: what is wrong with the answers; ``greedy`` takes memory that grows with the rows.
        since: number of the surrogates' pass that it begins with.
        spread: whether it is one process's, or of all, those that are started later included.
        megabytes: that ``greedy`` takes a row, until it is killed.
    """

    how: Literal["slow", "raises", "nan", "greedy"]
    since: int
    spread: Literal["one", "all"] = "one"
    megabytes: int = 0


class Gates:
    """Counts the passes of models, holds one of them, and says which process is sick."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    # -- who disturbs --------------------------------------------------------------------------

    def open(self) -> None:
        """Make the folder, and let every pass through."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.release()

    def hold(self, role: str, number: int) -> None:
        """Hold the pass of that number among those of a role (``surrogate`` or ``target``)."""
        self._write("hold", f"{role} {number}")

    def held(self) -> int | None:
        """Return the process that is held in its pass, None while there is none."""
        with suppress(OSError, ValueError):
            return int((self._folder / "held").read_text())
        return None

    def release(self) -> None:
        """Let the pass go on, and every later one."""
        for name in ("hold", "held"):
            (self._folder / name).unlink(missing_ok=True)

    def infect(self, sickness: Sickness) -> None:
        """Make one process or all of them sick."""
        self._write("sick", json.dumps(asdict(sickness)))

    def heal(self) -> None:
        """Let everybody be well."""
        (self._folder / "sick").unlink(missing_ok=True)

    def passes(self, role: str) -> int:
        """Return how many passes there were."""
        path = self._folder / role
        return path.stat().st_size if path.exists() else 0

    def _write(self, name: str, text: str) -> None:
        aside = self._folder / f".{name}"
        aside.write_text(text)
        aside.replace(self._folder / name)

    # -- the run -------------------------------------------------------------------------------

    def passed(self, role: str) -> Sickness | None:
        """Count a pass, wait while it is held, and return what is wrong with this process."""
        handle = os.open(self._folder / role, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(handle, b".")
            number = os.lseek(handle, 0, os.SEEK_CUR)  # its own: who appends stands behind it
        finally:
            os.close(handle)
        if self._read("hold") == f"{role} {number}":
            self._write("held", str(os.getpid()))
            until = time.monotonic() + LIMIT
            while (self._folder / "hold").exists() and time.monotonic() < until:
                time.sleep(LOOK)
        return self._sickness(role, number)

    def _sickness(self, role: str, number: int) -> Sickness | None:
        if role != "surrogate" or not (text := self._read("sick")):
            return None
        found = Sickness(**json.loads(text))
        if number < found.since:
            return None
        if found.spread == "one":
            with suppress(FileExistsError), (self._folder / "patient").open("x") as file:
                file.write(str(os.getpid()))
            if self._read("patient") != str(os.getpid()):
                return None
        return found

    def _read(self, name: str) -> str:
        with suppress(OSError):
            return (self._folder / name).read_text()
        return ""
