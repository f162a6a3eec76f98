"""What travels between processes: dataclasses whose tensors are arrays."""

from __future__ import annotations

import pickle

import numpy as np
import torch

from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.loop import Trace
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.run.engine import AttackResult
from gauntlet.pipeline.run.steps import StepVerdicts

BATCH = Batch(("a", "b"), torch.rand(2, 3, 4, 4), Goal.UNTARGETED, labels=torch.tensor([0, 1]))


def holds_tensors(thing: object) -> bool:
    return b"torch" in pickle.dumps(thing)


def test_a_result_travels_as_arrays_and_comes_back_as_it_was():
    trace = Trace(*(torch.rand(3, 2) for _ in range(6)))
    steps = (StepVerdicts(1, np.ones(2), np.ones(2), {}),)
    result = AttackResult(BATCH.images, trace, {}, steps)
    packed = Packed.of(result)
    assert holds_tensors(result)
    assert not holds_tensors(packed)
    found = pickle.loads(pickle.dumps(packed)).unpack()
    assert torch.equal(found.images, result.images)
    assert torch.equal(found.trace.silent, trace.silent)
    assert found.steps[0].linf.tolist() == [1, 1]


def test_absent_tensors_stay_absent_and_a_field_may_stay_behind():
    packed = Packed.of(BATCH, labels="elsewhere")
    assert set(packed.arrays) == {"images"}
    assert packed.rest["labels"] == "elsewhere"
    found = packed.unpack(labels=BATCH.labels)
    assert found.labels is BATCH.labels
    assert found.guide is None
