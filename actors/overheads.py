"""What a run does beside attacking: starting, looking at its models, choosing, compacting."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from gauntlet.actors.devices import Devices
from gauntlet.actors.layout import Layout
from gauntlet.pipeline.run.calibration import wanted
from gauntlet.pipeline.run.pass_times import FORWARD, Pass
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.probe import MOST, SAMPLE
from gauntlet.pipeline.run.selection import selecting

SESSION = 6.0
"""Seconds in which a Ray session starts on a machine that has none: 4.3 of CPU time, and waits."""
COMPACTED = 190e6
"""Bytes a second that one core reads, merges and writes anew."""
TABLE = 0.05
"""Seconds in which the files of a table are synced and the record is told: 0.012 of CPU time."""
# Measured by `bench/overheads.py` on a busy machine.


def overheads(
    plan: Plan,
    layout: Layout | None,
    devices: Devices,
    examples: int,
    pairs: int,
    surrogates: Mapping[str, Pass],
    targets: Mapping[str, Pass],
    decoding: float,
    library: float,
    written: Mapping[str, int],
) -> dict[str, float]:
    """Return the seconds of a run's stages other than its attacks, by name.

    Models that seem to be wrong are asked more in the look at them, and so is more data where
    examples are not selected; thresholds that were found before are not found again. None of that
    is known beforehand.

    Args:
        plan: what is run.
        layout: of its processes; None where all is in one.
        devices: where.
        examples: that are attacked.
        pairs: images that thresholds are found on.
        surrogates: a pass of each.
        targets: the same.
        decoding: seconds for a batch of examples.
        library: seconds of CPU time in which a process loads its libraries.
        written: bytes of each table.
    """
    batch = plan.resources.batch
    forward = {name: FORWARD * made.seconds for name, made in surrogates.items()}
    forward |= {name: made.seconds for name, made in targets.items()}
    beside = 1 if layout is None else max(1, min(devices.cpus, layout.target_workers + 1))

    def asked(models: Collection[str], images: float) -> float:
        """Seconds in which some models go forward on images."""
        return math.ceil(images / batch) * sum(forward[name] for name in models) / beside

    embeds = plan.task.kind.embeds
    clean = 2 if embeds else 1  # the references, too
    calibrated = wanted(plan).keys() if embeds else ()
    looked_at = min(MOST, examples)
    return {
        "start": _start(layout, devices, surrogates, targets, library),
        "thresholds": (asked(calibrated, pairs) + decoding * pairs / batch if calibrated else 0.0),
        "look": decoding * looked_at / batch + asked(forward, clean * min(SAMPLE, examples)),
        "selection": (
            asked(selecting(plan), clean * examples) + decoding * examples / batch
            if selecting(plan)
            else 0.0
        ),
        "compaction": sum(TABLE + size / COMPACTED for size in written.values()),
    }


def _start(
    layout: Layout | None,
    devices: Devices,
    surrogates: Mapping[str, Pass],
    targets: Mapping[str, Pass],
    library: float,
) -> float:
    """Return the seconds until all models are built."""
    builds = sum(made.build for made in surrogates.values())
    others = sum(made.build for made in targets.values())
    if layout is None:
        return builds + others
    packed = layout.placement == "packed"
    copies = layout.surrogate_workers if packed else layout.surrogate_workers / len(surrogates)
    processes = layout.surrogate_workers + layout.hubs + layout.target_workers
    work = processes * library + copies * builds + others
    return SESSION + work / min(processes, devices.cpus)
