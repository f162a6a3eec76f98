"""What a layout asks for can be placed: on whole GPUs, and on the nodes one by one."""

import os

import pytest
import torch

from gauntlet.actors.devices import Devices, Node
from gauntlet.actors.launch import foresee
from gauntlet.actors.outlook import layout_on
from gauntlet.actors.placement import lay_out
from gauntlet.actors.session import grows
from gauntlet.actors.shares import fits
from gauntlet.actors.workers import keep_to_share
from gauntlet.pipeline.problems import BadInput
from tests.toys.runs import network, plan


def layout(
    folder, cpus, gpus, placement, *,
    surrogates=2, targets=1, nodes=(), grow=False, gpu_memory=0, units=None, **given,
):  # fmt: skip
    nets = [{**network("plain"), "name": f"s{i}"} for i in range(surrogates)]
    judges = [{**network("wide"), "name": f"t{i}"} for i in range(targets)]
    resources = {"batch": 4, **given}
    job = plan(folder, surrogates=nets, targets=judges, resources=resources)
    return lay_out(job, Devices(cpus, gpus, 2**34, nodes, grow, gpu_memory), placement, "", units)


def shares(found):
    surrogates = (found.surrogate_gpus, found.surrogate_workers)
    return surrogates, (found.target_gpus, found.target_workers), (found.hub_gpus, found.hubs)


@pytest.mark.parametrize(
    ("surrogates", "gpus", "share"),
    [(3, 2, 0.45), (5, 2, 0.3), (5, 4, 0.45), (2, 4, 1), (3, 1, 0.3), (2, 2, 0.9)],
)  # fmt: skip
def test_default_shares_of_surrogates_fit_on_whole_gpus(surrogates, gpus, share, tmp_path):
    found = layout(tmp_path, 8, gpus, "pinned", surrogates=surrogates, targets=3)
    assert found.surrogate_gpus == share
    assert fits([Node(8, gpus)], *shares(found))
    assert not 0 < found.target_gpus < 0.01
    assert found.hub_gpus == 0.1


@pytest.mark.parametrize(("gpus", "targets"), [(3, 3), (2, 1), (1, 1)])
def test_default_shares_of_targets_fit_on_whole_gpus(gpus, targets, tmp_path):
    found = layout(tmp_path, 8, gpus, "packed", targets=targets, surrogate_gpus=0.4)
    assert found.target_gpus > 0
    assert fits([Node(8, gpus)], *shares(found))


@pytest.mark.parametrize(
    ("gibibytes", "batch", "share"),
    [(141, 64, 0.01), (24, 64, 0.06), (8, 4096, 0.37), (8, 8192, 0)],
)
def test_a_hub_gets_the_memory_that_its_tensors_need(gibibytes, batch, share, tmp_path):
    found = layout(tmp_path, 8, 2, "pinned", gpu_memory=gibibytes * 2**30, batch=batch)
    assert found.hub_gpus == share
    assert found.surrogate_gpus == (1 - share if share else 1)


def test_a_hub_is_on_the_cpu_where_its_surrogates_are_or_leave_no_room(tmp_path):
    assert layout(tmp_path, 8, 0, "pinned").hub_gpus == 0
    assert layout(tmp_path, 8, 2, "pinned", surrogate_gpus=1).hub_gpus == 0
    assert layout(tmp_path, 8, 2, "pinned", surrogate_gpus=0).hub_gpus == 0
    assert layout(tmp_path, 8, 2, "packed").hub_gpus == 0


def test_targets_are_where_they_would_be_without_a_hub(tmp_path):
    for gpus in (1, 2, 3):
        plain = layout(tmp_path, 8, gpus, "pinned", targets=4, hub_gpus=0)
        assert layout(tmp_path, 8, gpus, "pinned", targets=4).target_gpus == plain.target_gpus


def test_a_stated_share_of_hubs_is_taken_off_first(tmp_path):
    found = layout(tmp_path, 8, 1, "pinned", hub_gpus=0.2, surrogates=4)
    assert (found.hub_gpus, found.surrogate_gpus) == (0.2, 0.2)
    assert "1 hub for the loops with 0.2 GPU each" in found.summary


@pytest.mark.parametrize(
    ("cpus", "gpus", "units", "given", "most"),
    [
        (16, 4, 100, {"threads": 2}, 4),
        (16, 4, 3, {"threads": 2}, 3),
        (16, 4, 100, {"threads": 2, "hub_gpus": 0}, 6),
        (4, 4, 100, {"threads": 2}, 1),
        (16, 4, 100, {"threads": 2, "hubs": 2}, 2),
        (16, 4, 100, {"threads": 2, "in_flight": 3}, 1),
        (16, 1, 100, {"threads": 1, "hub_gpus": 0.1, "surrogate_gpus": 0.4, "target_gpus": 0}, 2),
        (8, 0, 100, {"threads": 2}, 2),
        (8, 0, 100, {}, 1),
    ],
)
def test_more_hubs_may_start_where_cores_units_and_gpus_are_left(
    cpus, gpus, units, given, most, tmp_path
):
    found = layout(
        tmp_path, cpus, gpus, "pinned", surrogates=2 + 2 * (gpus > 1), units=units, **given
    )
    assert (found.hubs, found.most_hubs) == (given.get("hubs", 1), most)


def test_hubs_that_do_not_divide_over_replicas_are_told(tmp_path):
    told = layout(tmp_path, 8, 0, "pinned", hubs=3, replicas=2).reason
    assert told == (
        "; 3 hubs for 2 replicas: 1 of them has 2, the others 1: a multiple of 2 loads all alike"
    )
    assert not layout(tmp_path, 8, 0, "pinned", hubs=4, replicas=2).reason


def test_stated_shares_of_targets_are_taken_off_first(tmp_path):
    assert layout(tmp_path, 8, 1, "packed", target_gpus=0.25).surrogate_gpus == 0.75
    found = layout(tmp_path, 8, 2, "packed", targets=4, target_gpus=0.25)
    assert fits([Node(8, 2)], *shares(found))
    assert found.surrogate_gpus >= 0.5


@pytest.mark.parametrize(("gpus", "workers"), [(2, 1), (3, 2), (8, 6)])
def test_the_interaction_jobs_place_on_two_gpus_and_more(gpus, workers, tmp_path):
    wanted = {"surrogate_gpus": 1, "target_gpus": 0.25}
    found = layout(tmp_path, 8, gpus, "packed", targets=7, **wanted)
    assert found.surrogate_workers == workers
    assert fits([Node(8, gpus)], *shares(found))


@pytest.mark.parametrize(
    ("gpus", "placement", "given", "said"),
    [
        (1, "packed", {"surrogate_gpus": 1, "target_gpus": 0.25},
         "resources.surrogate_gpus: 1 x 1 GPU for surrogates and 1 x 0.25 GPU for targets do not "
         "fit on 1 GPU; write surrogate_gpus: 0.75, or leave it out"),
        (2, "pinned", {"surrogate_gpus": 1},
         "resources.surrogate_gpus: 3 x 1 GPU for surrogates do not fit on 2 GPUs; "
         "write surrogate_gpus: 0.5, or leave it out"),
        (1, "packed", {"target_gpus": 1}, "resources.target_gpus: "),
        (1, "packed", {"target_gpus": 2}, "resources.target_gpus: "),
        (2, "pinned", {"surrogate_gpus": 0.5, "hub_gpus": 0.75},
         "resources.hub_gpus: 3 x 0.5 GPU for surrogates and 1 x 0.75 GPU for hubs do not fit on 2 "
         "GPUs; write hub_gpus: 0.5, or leave it out"),
        (1, "pinned", {"surrogate_gpus": 0.3, "target_gpus": 0.1, "hub_gpus": 0.2},
         "resources.hub_gpus: 3 x 0.3 GPU for surrogates, 1 x 0.1 GPU for targets and 1 x 0.2 GPU "
         "for hubs do not fit on 1 GPU; leave hub_gpus out"),
        (1, "pinned", {"hub_gpus": 1}, "resources.hub_gpus: 1 x 1 GPU for hubs leave no room for "
         "surrogates on 1 GPU; write less, or 0"),
        (0, "packed", {"hub_gpus": 0.5},
         "resources.hub_gpus: no GPU here; leave hub_gpus out to run on the CPU"),
        (0, "packed", {"surrogate_gpus": 0.5},
         "resources.surrogate_gpus: no GPU here; leave surrogate_gpus out to run on the CPU"),
        (0, "packed", {"target_gpus": 0.25},
         "resources.target_gpus: no GPU here; leave target_gpus out to run on the CPU"),
    ],
)  # fmt: skip
def test_stated_shares_that_do_not_fit_are_refused(gpus, placement, given, said, tmp_path):
    with pytest.raises(BadInput) as caught:
        layout(tmp_path, 8, gpus, placement, surrogates=3, **given)
    assert said in str(caught.value)


def test_processes_without_memory_are_refused_but_where_a_run_measures(tmp_path, monkeypatch):
    small = Devices(cpus=64, gpus=0, memory=2**32)
    monkeypatch.setattr("gauntlet.actors.launch.this_machine", lambda: small)
    monkeypatch.setattr("torch.get_num_threads", lambda: 64)
    for placement, fits_in in (("packed", False), ("pinned", True), ("auto", True)):
        job = plan(tmp_path, resources={"batch": 4, "placement": placement})
        if fits_in:
            assert "placement: " in foresee(job, None)
            continue
        with pytest.raises(BadInput) as caught:
            foresee(job, None)
        assert str(caught.value) == (
            "resources.workers: 64 processes for surrogates and 1 for targets take 16.2 GiB "
            "without any model, 4.0 GiB are there; write fewer, or placement: auto"
        )


def test_shares_are_not_refused_where_nodes_come_on_demand(tmp_path):
    wanted = {"surrogate_gpus": 1, "target_gpus": 0.25}
    found = layout(tmp_path, 1, 0, "pinned", nodes=(Node(0, 0),), grow=True, **wanted)
    assert (found.surrogate_gpus, found.target_gpus) == (1, 0.25)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (b'{"autoscaler_report": {"active_nodes": {"node_12ab": 1}}}', False),
        (b'{"autoscaler_report": {"active_nodes": {"head": 1}}}', True),
        (b"", True),
        (None, True),
    ],
)
def test_a_cluster_of_the_launcher_grows(status, expected):
    assert grows(status) == expected


@pytest.mark.parametrize(("nodes", "cpus", "workers"), [(2, 1, 2), (3, 2, 6), (2, 4, 8), (1, 2, 4)])
def test_every_process_finds_its_cpus_on_one_node(nodes, cpus, workers, tmp_path):
    machines = (Node(cpus, 0),) * nodes
    given = {"workers": workers, "nodes": machines}
    found = layout(tmp_path, nodes * cpus, 0, "packed", **given)
    held = sum(round(100 * node.cpus) // round(100 * found.cpus) for node in machines)
    assert found.cpus > 0
    assert held >= workers + 1


def test_a_node_has_cpus_for_as_many_processes_as_its_gpus_hold(tmp_path):
    machines = (Node(30, 0), Node(2, 2))
    found = layout(tmp_path, 32, 2, "pinned", surrogates=4, nodes=machines)
    assert (found.surrogate_gpus, found.hub_gpus) == (0.45, 0.1)
    assert 5 * found.cpus <= 2


def test_a_process_without_a_share_sees_no_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    keep_to_share(["0"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    keep_to_share([])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_planned_here_is_placed_as_a_run_would_be(threads, tmp_path, monkeypatch):
    """One thread, of however many cores, is no reason for actors: for neither of the two."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    job = plan(tmp_path, resources={"batch": 4, "placement": "auto"})
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        alone = layout_on(job, Devices(2, 0, 2**34), 2, imagined=False) is None
        run = foresee(job, None)
    finally:
        torch.set_num_threads(before)
    assert alone == (threads == 1) == ("one core and at most one GPU" in run)
    assert layout_on(job, Devices(2, 0, 2**34), 2, imagined=True) is not None
