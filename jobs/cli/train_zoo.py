"""What the verbs of `gauntlet zoo` do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.signals import Terminated
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.models.zoo.recipes import RECIPES, Recipe, find_recipe
from gauntlet.pipeline.models.zoo.weights import WEIGHTS
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.training.zoo.interrupted import Interrupted
from gauntlet.pipeline.training.zoo.produce import produce, smoke
from gauntlet.pipeline.training.zoo.table import markdown


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
    console = terminal(stderr=True)
    if brief:
        status = Status.DONE
        with shown_on(console) as progress:
            for recipe in recipes:
                try:
                    before, after = smoke(recipe, progress)
                except BadInput as error:  # learned too little
                    progress.note(str(error))
                    status = Status.INCOMPLETE
                else:
                    progress.note(f"{recipe.name}: loss {before:.3f} -> {after:.3f}")
        return status
    with _asked_to_stop() as asked, shown_on(console) as progress:
        try:
            produce(
                recipes,
                out or WEIGHTS,
                cache or default_cache(),
                progress,
                resume=resume,
                stopped=lambda: bool(asked),
            )
        except Interrupted as error:
            progress.note(str(error))
            return asked[0]
    return Status.DONE


def table() -> int:
    """Print the page."""
    print(markdown(), end="")
    return Status.DONE


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
def _asked_to_stop() -> Iterator[list[Status]]:
    """Note the first Ctrl-C or termination, so that no update is cut in half.

    A second one ends the process at once.
    """
    asked: list[Status] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        asked.append(Status(128 + number))

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
