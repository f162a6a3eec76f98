"""Crews on a cluster of several nodes, whose GPUs are claimed only: a hub beside its surrogates."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

from gauntlet.actors.devices import Devices, Node
from gauntlet.actors.placement import lay_out
from gauntlet.actors.rooms import rooms, words
from gauntlet.pipeline import results
from tests.toys.runs import carry_out, plan

SHARES = {"replicas": 2, "surrogate_gpus": 0.4, "target_gpus": 0, "hub_gpus": 0.2}
NODE = Node(cpus=4, gpus=1)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, in a folder of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="gr", dir="/tmp") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", folder)
        Path(folder, "ray").mkdir()
        own = {"num_cpus": NODE.cpus, "num_gpus": NODE.gpus, "object_store_memory": 2**27}
        head = {**own, "include_dashboard": False}
        found = Cluster(initialize_head=True, head_node_args=head)
        found.add_node(**own)
        ray.init(address=found.address, log_to_driver=False)
        found.wait_for_nodes()
        yield found
        ray.shutdown()
        found.shutdown()


@pytest.mark.slow
def test_crews_are_on_a_node_each_where_they_fit(cluster, tmp_path):
    devices = Devices(2 * NODE.cpus, 2 * NODE.gpus, 2**34, (NODE, NODE))
    job = plan(tmp_path, resources={"batch": 8, "threads": 1, **SHARES})
    found = lay_out(job, devices, "pinned", "")
    kept = rooms(found, 2)
    tables = [placement_group_table(room.group)["bundles_to_node_id"] for room in kept]
    homes = [set(table.values()) for table in tables]
    assert [len(home) for home in homes] == [1, 1]
    assert homes[0] != homes[1]
    assert [len(table) for table in tables] == [3, 3]
    for room in kept:
        room.leave()
    (wide,) = rooms(replace(found, surrogate_workers=2, hubs=1, surrogate_gpus=0.9), 2)
    assert not wide.together
    assert "1 of 1 crews found no node with room" in words([wide])
    wide.leave()
    (nowhere,) = rooms(replace(found, surrogate_workers=2, hubs=1, surrogate_gpus=3), 2, 1.0)
    assert nowhere.place(0) == "DEFAULT"


@pytest.mark.slow
def test_a_run_in_rooms_gives_the_same_rows_and_leaves_none_reserved(cluster, tmp_path):
    carry_out(tmp_path, "pinned", "spread", resources=SHARES)
    carry_out(tmp_path, "in-process", "here")
    images = []
    for name in ("spread", "here"):
        table = results.read(str(tmp_path / name), "examples")
        images.append(table.sort_values(["example", "attack"]).reset_index(drop=True)["image"])
    assert images[0].equals(images[1])
    said = results.manifest(str(Path(tmp_path, "spread"))).placement
    assert "2 hubs for the loops with 0.2 GPU each" in said
    assert "each hub and its surrogates on one node" in said
    assert {group["state"] for group in placement_group_table().values()} == {"REMOVED"}
