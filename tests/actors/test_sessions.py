"""Local runs on a machine where other Ray clusters live, and have died."""

import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
import ray
import yaml
from ray._private import services

from gauntlet.actors.address import greet, resolve
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import RunFolder
from tests.toys.held import held
from tests.toys.runs import carry_out, job, network, verdicts

PATIENCE = 900
"""Seconds for a run on a machine that is busy with other things."""
GAUNTLET = [sys.executable, "-m", "gauntlet.jobs.cli.app"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def shared():
    """A temporary folder of Ray that several sessions share; short, for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="gs", dir="/tmp"))
    yield folder
    kill(processes("environ", f"RAY_TMPDIR={folder}"))
    shutil.rmtree(folder, ignore_errors=True)


def environment(shared, **more):
    """The environment of somebody whose Ray is found by its files in the shared folder."""
    (shared / "home").mkdir(exist_ok=True)
    own = {"RAY_TMPDIR": str(shared), "HOME": str(shared / "home"), **more}
    return {name: os.environ[name] for name in os.environ if not name.startswith("RAY_")} | own


def processes(where, words):
    """Return the processes in whose command line or environment words stand."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{where}"):
        try:
            if words.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def kill(pids):
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def of_cluster(shared):
    """Return the processes of the cluster that `ray start` has started."""
    return processes("cmdline", f"{shared}/ray/")


def start_cluster(shared, cpus=1, **more):
    """Start a cluster, which Ray finds by its file even when it is dead; return its port."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", f"--port={port}"]
    options = [f"--num-cpus={cpus}", "--include-dashboard=false", "--disable-usage-stats"]
    around = environment(shared, **more)
    subprocess.run([*command, *options], env=around, check=True, capture_output=True)
    return port


def brief():
    """A job of two units, in one process beside the driver's."""
    return job(select={"limit": 8}, resources={"batch": 8, "threads": 1, "workers": 1})


def begin(path, out, shared, **more):
    arguments = ["run", str(path), "--placement", "packed", "--out", str(out)]
    return subprocess.Popen(
        [*GAUNTLET, *arguments], env=environment(shared, **more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def end(process, status=0):
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, errors
    return errors.splitlines()


def sessions(shared):
    """Return the folders of local sessions."""
    return list(shared.glob("gauntlet-*"))


def test_a_local_session_knows_of_no_other_and_leaves_nothing(shared, monkeypatch, capfd):
    # What a dead cluster leaves: an address where nobody answers.
    (shared / "ray").mkdir()
    (shared / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    address = f"127.0.0.1:{free_port()}"
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    for name, value in environment(shared).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setenv("RAY_GCS_SERVER_PORT", "1")
    before = dict(os.environ), signal.getsignal(signal.SIGTERM)
    notes: list[str] = []
    (node,) = connect(None, notes.append).nodes
    (folder,) = sessions(shared)
    assert (folder / "session_latest" / "sockets" / "raylet").is_socket()
    assert signal.getsignal(signal.SIGTERM) == before[1]
    disconnect()
    assert (dict(os.environ), signal.getsignal(signal.SIGTERM)) == before
    assert node.cpus >= 1
    assert notes == [f"RAY_ADDRESS is {address}: not joined, that takes --address auto"]
    assert sorted(path.name for path in shared.rglob("*")) == ["home", "ray", "ray_current_cluster"]
    assert capfd.readouterr() == ("", "")


def test_auto_joins_no_dead_cluster_and_nobody_s_own_session(shared, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(shared))
    (shared / "ray").mkdir()
    (shared / "ray" / "ray_current_cluster").write_text(f"127.0.0.1:{free_port()}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        @functools.cache
        def running():
            return {address}

        monkeypatch.setattr(services, "find_gcs_addresses", running)
        with pytest.raises(BadInput, match="--address: no Ray cluster runs on this machine"):
            resolve("auto")
        (shared / "ray" / "ray_current_cluster").write_text(address)
        assert resolve("auto") == address


def test_a_cluster_that_says_nothing_is_not_waited_for_by_the_minute(monkeypatch):
    monkeypatch.setenv("GAUNTLET_JOIN_S", "0.5")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BadInput, match=r"no word within 0.5 s .* gives it more") as caught:
            connect(address)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"--address: no Ray cluster to join at {address}: no word")
    monkeypatch.setenv("GAUNTLET_JOIN_S", "soon")
    with pytest.raises(BadInput, match="GAUNTLET_JOIN_S: expected seconds above 0, got 'soon'"):
        greet(address)


@pytest.mark.slow
def test_runs_beside_a_foreign_cluster_and_after_its_death(shared, tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(brief()))
    port = start_cluster(shared)
    foreign = of_cluster(shared)
    assert foreign
    runs = {name: begin(path, tmp_path / name, shared) for name in ("one", "two")}
    for name, process in runs.items():
        lines = end(process)
        assert lines[:2] == [
            f"run folder: {tmp_path / name}",
            "starting a Ray session on this machine",
        ]
        assert lines[2].startswith("placement: packed")
    next((tmp_path / "one" / "verdicts").iterdir()).unlink()
    again = subprocess.run(
        [*GAUNTLET, "resume", str(tmp_path / "one")], env=environment(shared),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    named = begin(path, tmp_path / "three", shared, RAY_ADDRESS=f"127.0.0.1:{port}")
    assert f"RAY_ADDRESS is 127.0.0.1:{port}: not joined" in end(named)[2]
    assert {*foreign} <= {*of_cluster(shared)}
    kill(foreign)
    end(begin(path, tmp_path / "four", shared))
    assert sessions(shared) == []
    assert list((shared / "home").iterdir()) == []
    frames = [verdicts(tmp_path / name) for name in ("one", "two", "three", "four")]
    assert all(frame.equals(frames[0]) for frame in frames)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_run_that_is_ended_leaves_no_folder_for_long(number, status, shared, tmp_path):
    path = tmp_path / "job.yaml"
    long = [{"base": "mi", "steps": 4}, {"base": "mi", "steps": 40, "name": "long"}]
    surrogates = [held("plain", tmp_path / "never", 20), network("separable")]
    # One process, in which each batch's short attack comes before any long one.
    resources = {"batch": 8, "threads": 1, "part_seconds": 0, "workers": 1}
    path.write_text(yaml.safe_dump(job(attacks=long, surrogates=surrogates, resources=resources)))
    process = begin(path, tmp_path / "run", shared)
    until = time.monotonic() + PATIENCE
    while not RunFolder(str(tmp_path / "run")).finished():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    lines = end(process, status)
    if number == signal.SIGTERM:
        assert lines[-1] == f"terminated; go on with: gauntlet resume {tmp_path / 'run'}"
    until = time.monotonic() + PATIENCE
    while sessions(shared):  # who was killed has somebody who sees to it
        assert time.monotonic() < until
        time.sleep(0.05)
    path.write_text(yaml.safe_dump(brief()))
    end(begin(path, tmp_path / "next", shared))
    assert sessions(shared) == []


@pytest.mark.slow
def test_a_cluster_with_a_token_takes_only_who_has_it(shared, tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(job(select={"limit": 8})))
    with_it = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
    to = ["--address", f"127.0.0.1:{start_cluster(shared, 2, **with_it)}"]
    for more, status in ((with_it, 0), ({}, 2)):
        command = [*GAUNTLET, "run", str(path), "--out", str(tmp_path / "run"), *to]
        done = subprocess.run(
            command, env=environment(shared, **more), capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert "0123456789abcdef" not in done.stdout + done.stderr
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        if status:
            assert "RAY_AUTH_TOKEN" in done.stderr.splitlines()[-1]


@pytest.fixture
def variables():
    """The environment's variables, as they were for the next test: Ray leaves its own behind."""
    before = set(os.environ)
    yield
    for name in set(os.environ) - before:
        del os.environ[name]


@pytest.mark.slow
def test_a_session_that_the_caller_began_is_used_and_stays(tmp_path, variables):
    ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False)
    try:
        here = ray.get_runtime_context().gcs_address
        assert carry_out(tmp_path, "packed", select={"limit": 8}).units_failed == 0
        assert ray.is_initialized()
        assert ray.get_runtime_context().gcs_address == here
        until = time.monotonic() + 30
        while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert ray.available_resources()["CPU"] == 2, "the run's actors are still there"
        with pytest.raises(BadInput, match="this process is part of the Ray cluster at"):
            connect("127.0.0.1:1")
    finally:
        ray.shutdown()
    connect(None)  # Ray keeps the token of the session that has ended
    disconnect()
