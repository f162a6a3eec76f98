"""What Ray knows of processes that its memory monitor killed: how much memory was used then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ray._private.state import state
from ray.core.generated import common_pb2, gcs_pb2

_FIGURES = re.compile(r"usage (\d+)B exceeded threshold of (\d+)B \([\d.]+% of (\d+)B")
"""In what Ray writes down of such a process."""


def shortage(since: float) -> str:
    """Return the figures of the last process that was killed for its memory, in words.

    Args:
        since: seconds of Unix time after which it was killed; none is a shortage of "".
    """
    last = max(_killed(since), key=lambda process: process.end_time_ms, default=None)
    if last is None:
        return ""
    words = f"Ray's memory monitor killed process {last.pid}"
    if (found := _FIGURES.search(last.exit_detail)) is None:
        return words
    used, most, whole = (int(figure) / 2**30 for figure in found.groups())
    return f"{words}: {used:.1f} GiB of {whole:.1f} were used, {most:.1f} may be"


def _killed(since: float) -> Iterator[Any]:
    for row in state._connect_and_get_accessor().get_worker_table():
        process: Any = gcs_pb2.WorkerTableData.FromString(row)
        short = process.exit_type == common_pb2.WorkerExitType.NODE_OUT_OF_MEMORY
        if short and process.end_time_ms >= 1000 * since:
            yield process
