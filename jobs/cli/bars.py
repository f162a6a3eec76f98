"""Progress on a terminal as bars, in a log as lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from gauntlet.jobs.cli.durations import in_words
from gauntlet.jobs.reports.plain_text import visible
from gauntlet.jobs.reports.terminal import Terminal

LOG_EVERY = 10.0
"""Seconds between two lines of one stage in a log."""


class _Rate(ProgressColumn):
    """Units per second of the stage so far."""

    def render(self, task: Task) -> Text:
        """Return the rate, such as ``41.3 examples/s``."""
        elapsed = task.finished_time if task.finished else task.elapsed
        rate = task.completed / elapsed if elapsed else 0.0
        return Text(f"{rate:.1f} {task.fields['unit']}/s", style="cyan")


class TerminalProgress:
    """One bar a stage: how many of how many, units per second, time left."""

    def __init__(self, console: Terminal) -> None:
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int, unit: str = "examples") -> None:
        """Show a bar for the stage, or give the one there a new total."""
        with self._lock:
            if name in self._tasks:
                self._bars.update(self._tasks[name], total=total)
            else:
                self._tasks[name] = self._bars.add_task(visible(name), total=total, unit=unit)

    def advance(self, name: str, count: int) -> None:
        """Move the stage's bar."""
        with self._lock:
            if name in self._tasks:
                self._bars.advance(self._tasks[name], count)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text, style="dim")

    def warn(self, text: str) -> None:
        """Print a line above the bars, in another colour."""
        self._bars.console.print(f"warning: {text}", style="yellow")

    def log(self, text: str) -> None:
        """Leave it to the run's log."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bars away, for a question and its answer."""
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()


@dataclass
class _Stage:
    total: int
    unit: str
    started: float
    said: float
    done: int = 0


class LogProgress:
    """Plain lines: the start and end of each stage, and every ten seconds between.

    Args:
        console: where to.
        clock: seconds, for tests.
    """

    def __init__(self, console: Terminal, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._stages: dict[str, _Stage] = {}
        self._lock = threading.Lock()

    def stage(self, name: str, total: int, unit: str = "examples") -> None:
        """Say that the stage starts, or take a new total for one that has."""
        with self._lock:
            known = self._stages.get(name)
            if known is not None:
                known.total = total
                return
            now = self._clock()
            self._stages[name] = _Stage(total, unit, now, now)
            self._say(f"{name}: {total:,} {unit}")

    def advance(self, name: str, count: int) -> None:
        """Count, and speak when it is time."""
        with self._lock:
            stage = self._stages.get(name)
            if stage is None:
                return
            stage.done += count
            now = self._clock()
            if stage.done >= stage.total or now - stage.said >= LOG_EVERY:
                stage.said = now
                self._say(_line(name, stage, now - stage.started))

    def note(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            self._say(text)

    def warn(self, text: str) -> None:
        """Print a line."""
        self.note(f"warning: {text}")

    def log(self, text: str) -> None:
        """Leave it to the run's log."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do nothing: a log has nothing in the way."""
        yield

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


def _line(name: str, stage: _Stage, seconds: float) -> str:
    rate = stage.done / seconds if seconds > 0 else 0.0
    text = f"{name}: {stage.done:,}/{stage.total:,} {stage.unit}"
    if rate:
        text += f", {rate:.1f}/s"
        if stage.done < stage.total:
            text += f", {in_words((stage.total - stage.done) / rate)} left"
    return text


@contextmanager
def shown_on(console: Terminal) -> Iterator[TerminalProgress | LogProgress]:
    """Give bars on a terminal, lines anywhere else."""
    if console.is_terminal:
        with TerminalProgress(console) as progress:
            yield progress
    else:
        yield LogProgress(console)
