"""What the verbs of `gauntlet zoo` do."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from rich.console import Console

from jobs.commands import INTERRUPTED, OK
from jobs.progress import shown_on
from pipeline.zoo.interrupted import Interrupted
from pipeline.zoo.produce import produce, smoke
from pipeline.zoo.recipes import RECIPES, Recipe, find_recipe
from pipeline.zoo.table import markdown
from pipeline.zoo.weights import WEIGHTS


def train(
    only: Sequence[str],
    brief: bool,
    resume: bool,
    out: Path | None,
    cache: Path | None,
    threads: int,
) -> int:
    """Train the networks named, or all of them; ``brief`` is the smoke training."""
    recipes = _chosen(only)
    torch.set_num_threads(threads)
    console = Console(stderr=True)
    if brief:
        with shown_on(console) as progress:
            for recipe in recipes:
                before, after = smoke(recipe, progress)
                progress.note(f"{recipe.name}: loss {before:.3f} -> {after:.3f}")
        return OK
    with _asked_to_stop() as stop, shown_on(console) as progress:
        try:
            produce(
                recipes,
                out or WEIGHTS,
                cache or default_cache(),
                progress,
                resume=resume,
                stopped=stop.is_set,
            )
        except Interrupted as error:
            progress.note(str(error))
            return INTERRUPTED
    return OK


def table() -> int:
    """Print the page."""
    print(markdown(), end="")
    return OK


def default_cache() -> Path:
    """Return the cache's folder: in `GAUNTLET_CACHE`, or in the user's cache."""
    if given := os.environ.get("GAUNTLET_CACHE"):
        return Path(given) / "zoo"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gauntlet" / "zoo"


def _chosen(only: Sequence[str]) -> list[Recipe]:
    """Return recipes in the order of training, whatever the order of the names."""
    wanted = {find_recipe(name).name for name in only}
    return [recipe for recipe in RECIPES.values() if not wanted or recipe.name in wanted]


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or termination into a flag, so that no update is cut in half.

    A second one ends the process at once.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
