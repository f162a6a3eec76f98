"""The simulated devices, and a bench on them, in process."""

import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from bench.devices import WINDOWS, Setting, Windows
from bench.sleepers import Device, sleeper
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.plan import Resources
from gauntlet.pipeline.run.runner import Runner

ROOT = Path(__file__).parents[2]


def test_a_sleeper_has_a_fixed_gradient_of_its_own():
    def gradient(seed, images):
        leaf = images.requires_grad_()
        (found,) = torch.autograd.grad(adapt(sleeper(0, seed))(leaf).sum(), leaf)
        return found

    here, there = gradient(1, torch.zeros(2, 3, 4, 4)), gradient(1, torch.ones(2, 3, 4, 4))
    assert torch.equal(here, there)
    assert here.abs().max() > 0
    assert not torch.equal(here, gradient(2, torch.zeros(2, 3, 4, 4)))


def test_a_sleeper_that_was_first_asked_for_a_verdict_has_a_gradient_too():
    model = adapt(sleeper(0, 1))
    with torch.inference_mode():
        model(torch.zeros(2, 3, 4, 4))
    leaf = torch.zeros(2, 3, 4, 4).requires_grad_()
    (found,) = torch.autograd.grad(model(leaf).logsumexp(1).sum(), leaf)
    assert found.abs().max() > 0


def test_a_device_takes_one_batch_after_another():
    device, started = Device(), time.monotonic()
    threads = [threading.Thread(target=device.work, args=(0.01,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started >= 0.03


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_bench_runs_and_reads_the_clocks_at_every_edge(tmp_path):
    setting = Setting(k=2, ms=1, pixels=8, batch=2, in_flight=1, steps=2, units=1)
    setting.write_noise(tmp_path)
    here = Resources(placement="in-process", batch=setting.batch)
    plan = setting.plan(tmp_path).model_copy(update={"resources": here})
    windows = Windows(setting)
    engine = LocalEngine(plan, permission=granted(job=ROOT))
    outcome = Runner(plan, RunFolder(str(tmp_path / "run")), engine, windows).run()
    assert not outcome.units_failed
    assert not outcome.lost
    assert len(windows.readings) == WINDOWS + 1
    assert all(reading.cpu["driver"] > 0 for reading in windows.readings)
