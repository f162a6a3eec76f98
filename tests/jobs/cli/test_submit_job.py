"""Runs that a cluster does: submitted, followed, left, attached to; the statuses are the run's."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.pipeline.results import RunFolder
from tests.actors.test_sessions import environment, free_port, kill, processes
from tests.toys import held
from tests.toys.runs import job, network

ID = re.compile(r"raysubmit_\w+")
CLOSED = "http://127.0.0.1:9"


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a job in it."""
    folder = tmp_path / "work"
    folder.mkdir()
    write(folder)
    monkeypatch.chdir(folder)
    return folder


def write(folder: Path, **changes: object) -> None:
    resources = {"batch": 8, "threads": 1, "placement": "packed", "workers": 1}
    content = job(**({"resources": resources} | changes))
    (folder / "job.yaml").write_text(yaml.safe_dump(content))


def test_a_run_folder_that_would_go_with_the_job_is_refused(work: Path) -> None:
    for more in ((), ("--out", "runs/x"), ("--set", "output=there")):
        found = gauntlet("submit", "job.yaml", "--address", CLOSED, *more)
        assert found.exit_code == 2
        assert "name a bucket, or an absolute path" in found.output


def test_a_job_that_is_not_sent_is_refused(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text((work / "job.yaml").read_text())
    found = gauntlet("submit", str(other), "--address", CLOSED, "--out", "/tmp/x")
    assert "is not in the working folder" in found.output


def test_following_needs_a_cluster(work: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs gauntlet[cluster]")
    found = gauntlet("attach", "raysubmit_1", "--address", f"127.0.0.1:{free_port()}")
    assert found.exit_code == 2
    assert "nothing answers at" in found.output


# -- a cluster ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dashboard() -> Iterator[str]:
    """The URL of a cluster on this machine that takes jobs."""
    pytest.importorskip("aiohttp", reason="needs gauntlet[cluster]")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="gs", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        python = str(Path(sys.executable).parent)
        around = environment(folder, PATH=f"{python}:{os.environ['PATH']}")
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head"]
        options = ["--num-cpus=2", f"--port={free_port()}", f"--dashboard-port={port}"]
        options += ["--dashboard-host=127.0.0.1", "--disable-usage-stats"]
        options += [f"--dashboard-agent-listen-port={free_port()}"]
        subprocess.run([*command, *options], env=around, check=True, capture_output=True)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            kill(processes("environ", f"RAY_TMPDIR={folder}"))


def begin(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gauntlet", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )


@pytest.mark.slow
def test_a_run_is_submitted_followed_and_read(work: Path, tmp_path: Path, dashboard: str) -> None:
    out = tmp_path / "run"
    to = ("--address", dashboard, "--out", str(out))
    found = gauntlet("submit", "job.yaml", *to, "--follow")
    assert found.exit_code == 0, found.output
    assert "attack x target group" in found.output
    assert len(RunFolder(str(out)).finished()) == 6
    again = gauntlet("submit", "job.yaml", *to, "--follow")
    assert again.exit_code == 2
    assert "holds a finished run already" in again.output
    (given,) = ID.findall(found.output.splitlines()[0])
    attached = gauntlet("attach", given, "--address", dashboard)
    assert attached.exit_code == 0
    assert "attack x target group" in attached.output
    unknown = gauntlet("attach", "raysubmit_none", "--address", dashboard)
    assert unknown.exit_code == 2
    assert "no job raysubmit_none at" in unknown.output


@pytest.mark.slow
def test_a_cluster_without_the_gpus_that_are_asked_for_is_said_to_be_one(
    work: Path, tmp_path: Path, dashboard: str
) -> None:
    write(work, resources={"placement": "packed", "surrogate_gpus": 1})
    to = ("--address", dashboard, "--out", str(tmp_path / "run"))
    found = gauntlet("submit", "job.yaml", *to, "--follow")
    assert found.exit_code == 2
    assert "resources.surrogate_gpus: no GPU here" in found.output
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_interrupt_leaves_the_run_going(work: Path, tmp_path: Path, dashboard: str) -> None:
    out, go_on = tmp_path / "run", tmp_path / "go on"
    shutil.copy(held.__file__, work)
    write(work, surrogates=[held.held("plain", go_on, 5, "held"), network("separable")])
    process = begin("submit", "job.yaml", "--address", dashboard, "--out", str(out), "--follow")
    assert process.stdout is not None
    said = ""
    while "run folder" not in said:
        said += process.stdout.readline()
        assert process.poll() is None, said
    process.send_signal(signal.SIGINT)
    said += process.communicate()[0]
    assert process.returncode == 130
    (given,) = ID.findall(said.splitlines()[0])
    assert f"the job goes on; see it again with: gauntlet attach {given} --address" in said
    assert len(RunFolder(str(out)).finished()) < 6
    go_on.touch()
    attached = gauntlet("attach", given, "--address", dashboard)
    assert attached.exit_code == 0
    assert "attack x target group" in attached.output
    assert len(RunFolder(str(out)).finished()) == 6
    assert "nothing left to do" in gauntlet("resume", str(out)).output
