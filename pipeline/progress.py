"""What a run says of its progress, whoever listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Progress(Protocol):
    """Told of stages and of examples done; must be safe to call from several threads."""

    def stage(self, name: str, total: int, unit: str = "examples") -> None:
        """Start a stage of ``total`` units, or set its total anew."""

    def advance(self, name: str, count: int) -> None:
        """Report ``count`` more units of a stage done."""

    def note(self, text: str) -> None:
        """Say something that the person should know: a choice, a rejected input."""

    def warn(self, text: str) -> None:
        """Say something that puts the run's figures in doubt."""

    def log(self, text: str) -> None:
        """Say something for the run's log alone: a retry, a process that came back."""


class Silent:
    """Says nothing."""

    def stage(self, name: str, total: int, unit: str = "examples") -> None:
        """Ignore."""

    def advance(self, name: str, count: int) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""

    def warn(self, text: str) -> None:
        """Ignore."""

    def log(self, text: str) -> None:
        """Ignore."""


class Once:
    """Says the first note that it is told, and no other: the rest have the same cause."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note, self._said = note, False

    def __call__(self, text: str) -> None:
        """Say a note."""
        if not self._said:
            self._said = True
            self._note(text)
