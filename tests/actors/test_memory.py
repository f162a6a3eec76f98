"""What models take is added up by process, and what does not fit is said."""

from __future__ import annotations

from gauntlet.actors.devices import Devices
from gauntlet.actors.memory import RUNTIME, Held, misfits, of_models, on_gpus
from gauntlet.pipeline.run.pass_times import Pass

GIB = 2**30


def test_weights_add_up_and_steps_take_turns() -> None:
    small, large = Pass(1.0, 2, 5), Pass(1.0, 3, 7)
    assert of_models([small, large], 1) == RUNTIME + 2 + 3 + 7
    assert of_models([small, large], 2) == RUNTIME + 2 + 3 + 14
    assert of_models([small, Pass(1.0)], 1) is None
    assert of_models([small, None], 1) is None


def test_what_is_on_a_gpu_together_is_added_up() -> None:
    devices = Devices(8, 2, 64 * GIB, gpu_memory=64 * GIB)
    whole = [Held(name, 1, 1, size * GIB) for name, size in (("a", 64), ("b", 65))]
    assert [*misfits(whole[:1], devices)] == []
    (said,) = misfits(whole, devices)
    assert said.startswith("b: 65.0 GiB do not fit into a GPU, 64.0 GiB: smaller resources.batch")
    # One takes more than its share, and the others leave it that.
    crew = [Held("surrogate", 3, 0.3, 15 * GIB), Held("hub", 1, 0.1, 19 * GIB)]
    assert [[one.role for one in gpu] for gpu in on_gpus(crew)] == [["surrogate"] * 3 + ["hub"]]
    assert [*misfits(crew, devices)] == []
    (said,) = misfits([*crew[:1], Held("hub", 1, 0.1, 20 * GIB)], devices)
    assert said.startswith("3 x surrogate, hub: 65.0 GiB do not fit into a GPU, 64.0 GiB: smaller")
    assert said.endswith("or a larger share of a GPU for each")


def test_processes_of_a_machine_share_its_memory() -> None:
    two = [Held("packed worker", 2, 0, 5 * GIB)]
    assert [*misfits(two, Devices(2, 0, 10 * GIB))] == []
    (said,) = misfits(two, Devices(2, 0, 9 * GIB))
    assert said.startswith("all processes together: 10.0 GiB do not fit into 9.0 GiB")
