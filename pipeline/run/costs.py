"""What a run was expected to take, and what it took: kept beside each other in the manifest.

Nothing is measured for a prediction while a run goes on. What `gauntlet plan` found out for the
same plan and weights on the same machine is in the user's cache; where nothing is, the first unit
of each attack tells what the others should take.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from pydantic import ValidationError

from gauntlet.pipeline import user_cache
from gauntlet.pipeline.results.manifest import CostRecord
from gauntlet.pipeline.results.record.entries import TableFile, UnitDone, digest_of
from gauntlet.pipeline.run.plan import Plan

PLANNED = "gauntlet plan on this machine"
FIRST_UNITS = "the first unit of each attack"
_KIND = "costs"


class StageClock:
    """The seconds of a run's stages.

    Args:
        begun: when the run was asked for, by `time.perf_counter`.
    """

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self.stages: dict[str, float] = {"start": time.perf_counter() - begun}

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Count what is done meanwhile to a stage."""
        since = time.perf_counter()
        try:
            yield
        finally:
            self.stages[stage] = self.stages.get(stage, 0.0) + time.perf_counter() - since

    def cost(self, units: int, files: Mapping[str, TableFile]) -> CostRecord:
        """Return what the run took until now.

        Args:
            units: that it did.
            files: of its tables.
        """
        return CostRecord(
            seconds=round(time.perf_counter() - self._begun, 3),
            stages={name: round(seconds, 3) for name, seconds in self.stages.items()},
            units=units,
            bytes=sum(file.bytes for file in files.values()),
            files=len(files),
        )


def keep(plan: Plan, models: Iterable[str], cost: CostRecord) -> None:
    """Keep what a plan is expected to take on this machine, with models of these fingerprints."""
    user_cache.write(_KIND, _key(plan, models), cost.model_dump_json())


def kept(plan: Plan, models: Iterable[str]) -> CostRecord | None:
    """Return what was kept of the same plan and models; None if nobody has asked before."""
    content = user_cache.read(_KIND, _key(plan, models))
    try:
        return None if content is None else CostRecord.model_validate_json(content)
    except ValidationError:
        return None


def by_first_units(done: Mapping[str, UnitDone], lanes: int) -> CostRecord | None:
    """Return what units should take by the first one of each attack; None where none was done.

    Args:
        done: the units of one attempt, in the order in which they were committed.
        lanes: units in flight.
    """
    first: dict[str, float] = {}
    seconds = sum(first.setdefault(unit.attack, unit.seconds) for unit in done.values())
    if not done:
        return None
    stages = {"attacks": round(seconds / lanes, 3)}
    return CostRecord(stages=stages, units=len(done), basis=FIRST_UNITS)


def _key(plan: Plan, models: Iterable[str]) -> str:
    gpus = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    machine = [platform.node(), platform.machine(), os.cpu_count(), gpus, torch.__version__]
    return digest_of([plan.model_dump(mode="json"), sorted({*models}), machine])
