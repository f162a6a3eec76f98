"""Several nodes on this machine: crews on two, one added and one killed in a run, one unfit."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from gauntlet.actors.launch import launch
from gauntlet.actors.nodes import needed_paths, refuse_unfit, unfit
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.run_log import log_of
from tests.actors.test_sessions import PATIENCE
from tests.toys.held import held
from tests.toys.runs import QUICKSTART, loaded, network, plan, verdicts

STEPS = 20
ATTACKS = [{"base": "mi", "steps": STEPS}]
PINNED = {"batch": 2, "threads": 1, "placement": "pinned", "replicas": 2, "part_seconds": 0.5}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head that does no work, and a node with two cores."""
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    found.add_node(num_cpus=2)
    yield found
    disconnect()
    found.shutdown()


def test_what_a_job_names_on_disk_is_what_nodes_need(tmp_path: Path) -> None:
    # Its root has folders that are called as arrays of the archive are.
    for name in ("images", "labels", "npz"):
        (tmp_path / name).mkdir()
    found = plan(tmp_path)
    assert [Path(path).name for path in needed_paths(found)] == ["shapes.npz"]


def test_nodes_need_the_files_of_every_model_and_attack(tmp_path: Path) -> None:
    shutil.copy(QUICKSTART / "shapes.npz", tmp_path)
    names = ["a.onnx", "b.safetensors", "c.bin", "d.safetensors", "e.npz"]
    for name in names:
        (tmp_path / name).touch()
    plain = plan(tmp_path)
    trained = {"source": "trained:b.safetensors", "options": {"source": "torchvision/resnet18"}}
    member = ModelSpec(name="m", source="file:d.safetensors")
    models = (
        ModelSpec(name="a", source="onnx:a.onnx"),
        ModelSpec(name="b", **trained),
        ModelSpec(name="c", source="import:of_mine:network", files=("c.bin",)),
        ModelSpec(name="d", source="mean:logits", members=(member, member)),
    )
    attack = plain.attacks[0].model_copy(update={"images": "e.npz"})
    changes = {"root": tmp_path, "surrogates": models, "attacks": (attack,)}
    found = plain.model_copy(update=changes)
    assert needed_paths(found) == [str(tmp_path / name) for name in (*names, "shapes.npz")]


@pytest.mark.slow
def test_of_two_nodes_with_one_name_each_is_asked(cluster: Cluster) -> None:
    connect(cluster.address)
    (node,) = (node for node in ray.nodes() if node["Resources"].get("CPU"))
    host = node["NodeManagerHostname"]
    (problem,) = unfit({"e" * 56: host, node["NodeID"]: host}, [])
    assert f"node {host} does no work" in str(problem)


@pytest.mark.slow
def test_two_crews_on_two_nodes_give_the_rows_of_one_process(
    cluster: Cluster, tmp_path: Path
) -> None:
    # Seven processes reserve a share each: neither node has room for all.
    cluster.add_node(num_cpus=2)
    carry_out(cluster, tmp_path)
    assert_same_rows(tmp_path)
    assert "2 hubs" in log_of(RunFolder(str(tmp_path / "run")))


@pytest.mark.slow
def test_a_node_that_is_added_does_the_work_of_one_that_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    (first,) = cluster.worker_nodes
    folder, go_on = RunFolder(str(tmp_path / "run")), tmp_path / "go on"
    # Of the three units that a crew has in flight one is done by then, and of its six at most four.
    surrogates = [held("plain", go_on, 4 * STEPS), network("separable")]
    ended: list[BaseException | None] = []

    def run() -> None:  # Ray starts nodes from the main thread only
        try:
            carry_out(cluster, tmp_path, surrogates=surrogates)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + PATIENCE
    while not folder.holds_run() or not folder.finished():
        assert not ended, ended
        assert time.monotonic() < until
        time.sleep(0.05)
    cluster.remove_node(first, allow_graceful=False)
    assert len(folder.finished()) < 12
    cluster.add_node(num_cpus=2)
    go_on.touch()
    thread.join(PATIENCE)
    assert ended == [None]
    assert_same_rows(tmp_path, surrogates=surrogates)
    assert "started anew" in log_of(folder)


def carry_out(cluster: Cluster, folder: Path, **changes: Any) -> None:
    given = loaded(folder, attacks=ATTACKS, resources=PINNED, **changes)
    outcome = launch(
        given.plan, str(folder / "run"), address=cluster.address, permission=given.permission
    )
    assert (outcome.units_done, outcome.units_failed) == (12, 0)


def assert_same_rows(folder: Path, **changes: Any) -> None:
    alone = {"batch": 2, "threads": 1, "placement": "in-process"}
    given = loaded(folder, attacks=ATTACKS, resources=alone, **changes)
    launch(given.plan, str(folder / "alone"), permission=given.permission)
    one, other = verdicts(folder / "run"), verdicts(folder / "alone")
    assert one.drop(columns="unit").equals(other.drop(columns="unit"))


@pytest.mark.slow
def test_a_node_without_the_data_is_named_with_the_path(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, gone = tmp_path / "here", str(tmp_path / "nowhere.npz")
    here.touch()
    connect(cluster.address)
    refuse_unfit([str(here)])
    with pytest.raises(BadInput) as caught:
        refuse_unfit([str(here), gone])
    host = ray.nodes()[0]["NodeManagerHostname"]
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"data: {gone} is not on node {host}: copy it there (rsync -a")
    monkeypatch.setattr("gauntlet.actors.nodes.metadata.version", lambda name: "99.1")
    with pytest.raises(BadInput, match=f"node {host} has Gauntlet .*, the driver 99.1"):
        refuse_unfit([])
