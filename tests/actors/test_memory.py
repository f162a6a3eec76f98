"""What models take is added up by process, and what does not fit is said."""

from __future__ import annotations

from gauntlet.actors.devices import Devices
from gauntlet.actors.memory import RUNTIME, Held, misfits, of_models
from gauntlet.pipeline.run.pass_times import Pass

GIB = 2**30


def test_weights_add_up_and_steps_take_turns() -> None:
    small, large = Pass(1.0, 2, 5), Pass(1.0, 3, 7)
    assert of_models([small, large], 1) == RUNTIME + 2 + 3 + 7
    assert of_models([small, large], 2) == RUNTIME + 2 + 3 + 14
    assert of_models([small, Pass(1.0)], 1) is None
    assert of_models([small, None], 1) is None


def test_what_does_not_fit_into_a_share_of_a_gpu_is_said() -> None:
    devices = Devices(8, 2, 64 * GIB, gpu_memory=64 * GIB)
    fits, whole, half = (
        Held(name, 1, share, size * GIB)
        for name, share, size in (("a", 1, 64), ("b", 1, 65), ("c", 0.5, 40))
    )
    assert [*misfits([fits], devices)] == []
    first, second = misfits([fits, whole, half], devices)
    assert first.startswith("b: 65.0 GiB do not fit into a GPU, 64.0 GiB: smaller resources.batch")
    assert second.startswith("c: 40.0 GiB do not fit into its share (0.5) of a GPU, 32.0 GiB")


def test_processes_of_a_machine_share_its_memory() -> None:
    two = [Held("packed worker", 2, 0, 5 * GIB)]
    assert [*misfits(two, Devices(2, 0, 10 * GIB))] == []
    (said,) = misfits(two, Devices(2, 0, 9 * GIB))
    assert said.startswith("all processes together: 10.0 GiB do not fit into 9.0 GiB")
