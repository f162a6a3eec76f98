"""How target workers are reached, from the driver or from another worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from gauntlet.actors.wire import WireLook
from gauntlet.pipeline.run.look import Look
from gauntlet.pipeline.run.probe.sample import ImageSample


@dataclass(frozen=True)
class TargetHandles:
    """Handles of the target workers; they travel to whoever has images to show.

    Attributes:
        workers: the workers.
        home: index of the worker that holds each target, by name.
    """

    workers: tuple[Any, ...]
    home: Mapping[str, int]

    def ask(self, names: Sequence[str], look: Any) -> list[Any]:
        """Ask the workers that hold the named targets; return references to their outputs.

        Args:
            names: of targets.
            look: reference to a `WireLook`, which goes into the object store once for all workers.
        """
        calls = []
        for index, worker in enumerate(self.workers):
            share = [name for name in names if self.home[name] == index]
            if share:
                calls.append(worker.show.remote(look, share))
        return calls

    def decode(self, sample: ImageSample) -> tuple[Any, Any]:
        """Have a worker decode a sample; return references to the pixels, and to what is not."""
        pixels, facts = self.workers[0].decode.options(num_returns=2).remote(sample)
        return pixels, facts

    def see(self, names: Sequence[str], decoded: Any, readings: Sequence[str]) -> list[Any]:
        """Return references to targets' answers to a decoded sample."""
        calls = []
        for index, worker in enumerate(self.workers):
            share = [name for name in names if self.home[name] == index]
            if share:
                calls.append(worker.see.remote(decoded, share, readings))
        return calls

    def show(self, look: Look) -> Callable[[], dict[str, np.ndarray]]:
        """Start to show images to all targets; what is returned waits for their outputs."""
        calls = self.ask(tuple(self.home), ray.put(WireLook.pack(look)))
        return lambda: gathered(calls)


def gathered(calls: Sequence[Any]) -> dict[str, np.ndarray]:
    """Wait for workers' outputs, each (repeats, B, C), and put them together by name."""
    found: dict[str, np.ndarray] = {}
    for outputs in ray.get(list(calls)):
        found |= outputs
    return found
