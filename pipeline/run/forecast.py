"""How long a run takes, from what each part of it has to do: bounds of a closed queueing network.

Units of work pass several stages, and no more of them are in flight than there are lanes. Then

    seconds >= max over stages of work / places          (the bottleneck never rests)
    seconds >= sum over stages of work / lanes           (a unit passes one stage after the other)

and the larger of the two is close where one of them is much larger (Denning and Buzen 1978, "The
Operational Analysis of Queueing Network Models", asymptotic bounds). Processes that share cores or
GPUs add a bound each: all their work, spread over what they share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """Places that all do the same part of every unit, or hardware that several stages share.

    Attributes:
        name: of the places: processes, cores.
        work: seconds of one place for the whole run, by what they are for (``surrogates``).
        places: how many work at the same time.
    """

    name: str
    work: Mapping[str, float]
    places: float

    @property
    def seconds(self) -> float:
        """Work of the whole run, if one place did it."""
        return sum(self.work.values())

    @property
    def mostly(self) -> str:
        """What most of the work is for."""
        return max(self.work, key=self.work.__getitem__)


@dataclass(frozen=True)
class Forecast:
    """What a run will take.

    Attributes:
        seconds: from the first unit to the last.
        bottleneck: the stage or hardware that the others wait for.
        in_flight: whether more units in flight would shorten it: then nothing works all the time.
        stages: all of them, the shared hardware last.
        busy: share of the time that each of them works, by its name.
    """

    seconds: float
    bottleneck: Stage
    in_flight: bool
    stages: Sequence[Stage]
    busy: Mapping[str, float]


def forecast(
    stages: Sequence[Stage], units: int, lanes: int, shared: Sequence[Stage] = ()
) -> Forecast:
    """Return the time of a run, and what limits it.

    Args:
        stages: what every unit passes, one after the other; of processes that work on one unit
            side by side, the slowest.
        units: of work; the last round of a stage may leave places empty.
        lanes: units in flight.
        shared: hardware under several stages, with the work of all of them.

    Raises:
        ValueError: without a stage or a unit.
    """
    if not stages or units < 1:
        raise ValueError("a run has stages, and a unit of work at least")
    least = {
        stage.name: stage.seconds * math.ceil(units / max(1, int(stage.places))) / units
        for stage in stages
    }
    least |= {under.name: under.seconds / under.places for under in shared}
    every = {stage.name: stage for stage in (*stages, *shared)}
    slowest = every[max(least, key=least.__getitem__)]
    through = sum(stage.seconds for stage in stages) / units
    waiting = through * math.ceil(units / max(1, lanes))
    seconds = max(least[slowest.name], waiting)
    # One stage alone is never waited for in flight: it is the bottleneck.
    in_flight = len(stages) > 1 and waiting > least[slowest.name]
    busy = {
        name: stage.seconds / stage.places / seconds if seconds else 0.0
        for name, stage in every.items()
    }
    return Forecast(seconds, slowest, in_flight, [*stages, *shared], busy)
