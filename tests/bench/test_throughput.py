from __future__ import annotations

import pytest

from bench.throughput import measure


@pytest.mark.slow
def test_memory_is_flat_from_a_tenth_of_the_examples_to_their_end() -> None:
    found = measure(60_000, workers=2, pixels=8, batch=512, part_megabytes=1)
    for kind in ("PackedWorker", "TargetWorker", "driver"):
        early, late = found.memory[kind]
        assert late <= 1.1 * early, kind
    assert found.files < 40
    assert found.rate > 0
    assert {"PackedWorker", "TargetWorker", "driver"} <= found.cpu.keys()
