"""One job, every placement: the same rows, whatever happens on the way."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from ray.actor import ActorHandle

from gauntlet.pipeline import results
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import UnitDone
from tests.toys.held import held
from tests.toys.runs import KEYS, carry_out, job, network, own, verdicts

PATIENCE = 900
"""Seconds for what a run does on a machine that is busy with other things."""
ROWS = 24 * 2 * 2
SMALL_PARTS = {"batch": 8, "threads": 1, "part_seconds": 0}
"""Resources with which every unit of work is recorded as soon as it is done."""
ONE_AFTER_THE_OTHER: dict[str, dict[str, Any]] = {"in-process": {}, "packed": {"workers": 1}}
"""Resources with which one unit of work is attacked at a time, by placement."""
JUDGED = {"steps": "all", "interactions": {"grid": 2}}
"""An evaluation of every iterate, with interactions of the last."""
EXACT = ["success", "clean_correct", "prediction", "linf", "threshold", "repeats", "white_box"]


@pytest.fixture(scope="module")
def reference_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    carry_out(folder, "in-process", evaluate=JUDGED)
    return folder / "run"


@pytest.fixture(scope="module")
def reference(reference_run):
    """The rows of the last step."""
    frame = verdicts(reference_run)
    return frame[frame["step"] == 4].reset_index(drop=True)


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert (one[KEYS] == other[KEYS]).all(axis=None)
    for column in EXACT:
        assert one[column].equals(other[column]), column
    assert np.allclose(one["score"], other["score"], atol=1e-4)


def test_in_process_has_every_row_once(reference):
    assert len(reference) == ROWS
    assert not reference.duplicated(KEYS).any()
    assert (reference["linf"] <= 8).all()
    assert reference["success"].between(0, 1).all()
    assert set(reference["group"]) == {"normal", "transform"}


@pytest.mark.parametrize("placement", ["packed", "pinned"])
def test_placements_give_the_same_rows_at_every_step(placement, reference_run, tmp_path):
    """With a surrogate that a module beside the job file makes, which is installed nowhere."""
    (tmp_path / "mine.py").write_text(
        "from gauntlet.pipeline.models.quickstart import networks\n"
        "def make(name):\n    return networks.load(name)\n"
    )
    surrogates = [own("plain", "mine:make"), network("separable")]
    outcome = carry_out(tmp_path, placement, surrogates=surrogates, evaluate=JUDGED)
    assert outcome.units_failed == 0
    runs = (tmp_path / "run", reference_run)
    assert_same(*map(verdicts, runs))
    keys = ["attack", "example", "surrogate"]
    there, here = (results.read(str(run), "interactions").sort_values(keys) for run in runs)
    assert here[keys].to_numpy().tolist() == there[keys].to_numpy().tolist()
    assert np.allclose(here["interaction"], there["interaction"], atol=1e-5)
    # The workers are asked about the same clean examples, and say the same of them.
    probes = [results.manifest(str(run)).probe for run in runs]
    assert probes[0] == probes[1]
    assert probes[0] is not None
    # The next session in this process has actors of the same ids, which they would end.
    assert not [left for left in gc.get_objects() if isinstance(left, ActorHandle)]
    assert probes[0].models["plain"].of == 64


def test_batch_size_changes_no_draw_and_no_verdict_in_float64(tmp_path):
    found = []
    for batch in (4, 10):
        name = f"batch-{batch}"
        carry_out(
            tmp_path, "in-process", name, select={"limit": 10},
            resources={"batch": batch, "dtype": "float64"},
        )  # fmt: skip
        found.append(verdicts(tmp_path / name))
        images = results.read(str(tmp_path / name), "examples")
        found[-1]["image"] = None
        found.append(images.sort_values(["example", "attack"]).reset_index(drop=True))
    assert_same(found[0], found[2])
    assert found[1]["image"].equals(found[3]["image"])


def test_trap_16_a_randomised_target_is_evaluated_several_times(reference):
    random = reference[reference["target"] == "wide-resize-pad"]
    assert (random["repeats"] == 3).all()
    assert set(np.round(random["success"] * 3, 6)) <= {0, 1, 2, 3}
    assert random["score_std"].gt(0).any()
    assert (reference[reference["target"] == "wide"]["score_std"] == 0).all()


def wait_for_units(run: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(RunFolder(str(run)).finished()) < count:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def units(run: Path) -> dict[str, UnitDone]:
    """The finished units, and what they came to: how long they took, among others."""
    record = Record.read(RunFolder(str(run)))
    assert record is not None
    return dict(record.units)


@pytest.mark.parametrize(
    "placement", ["in-process", pytest.param("packed", marks=pytest.mark.slow)]
)
def test_resume_after_sigkill_of_the_driver_has_every_row_exactly_once(placement, tmp_path):
    attacks = [{"grid": {"base": ["i", "di"], "combine": ["ens", "svre"]}, "steps": 6}]
    path, run, go_on = tmp_path / "job.yaml", tmp_path / "run", tmp_path / "go on"
    # Of twelve units, of six updates and more each, one after the other.
    surrogates = [held("plain", go_on, 40), network("separable")]
    resources = SMALL_PARTS | ONE_AFTER_THE_OTHER[placement]
    content = job(attacks=attacks, resources=resources, surrogates=surrogates)
    path.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "gauntlet.jobs.cli.app"]
    arguments = ["run", str(path), "--out", str(run), "--placement", placement]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for_units(run, 1, process)
        process.send_signal(signal.SIGKILL)
    kept = units(run)
    assert 1 <= len(kept) < 12
    go_on.touch()
    finished = subprocess.run(
        [*command, "resume", str(run)], capture_output=True, text=True, timeout=600, check=False
    )
    assert finished.returncode == 0, finished.stderr
    frame = verdicts(run)
    assert len(frame) == 24 * 4 * 2
    assert not frame.duplicated(KEYS).any()
    assert kept.items() <= units(run).items(), "units were done again"
    examples = results.read(str(run), "examples")
    assert len(examples) == 24 * 4
    assert not examples.duplicated(["example", "attack"]).any()
    assert len(results.read(str(run), "traces")) == 24 * 4 * 6
    carry_out(tmp_path, "in-process", "whole", attacks=attacks, surrogates=surrogates)
    assert_same(frame, verdicts(tmp_path / "whole"))


def _is_ours(pid: int) -> bool:
    """Whether a process descends from this one: other sessions' actors have the same names."""
    while pid not in (0, os.getpid()):
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[1])
        except OSError:
            return False
    return pid == os.getpid()


def kill_when_running(name: str, run: Path, go_on: Path, killed: list[int]) -> None:
    """Kill one actor of this session, by its class, once two units are done, and let it go on."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if len(RunFolder(str(run)).finished()) >= 2:
            for status in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    title = status.read_bytes()
                except OSError:
                    continue
                pid = int(status.parent.name)
                if title.startswith(f"ray::{name}".encode()) and _is_ours(pid):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    go_on.touch()
                    return
        time.sleep(0.02)
    go_on.touch()


@pytest.mark.parametrize(
    ("placement", "actor"),
    [
        pytest.param("pinned", "SurrogateActor", marks=pytest.mark.slow),
        pytest.param("pinned", "Hub", marks=pytest.mark.slow),
        ("packed", "PackedWorker"),
    ],
)
def test_a_killed_surrogate_costs_seconds_and_no_rows(placement, actor, reference, tmp_path):
    killed: list[int] = []
    attacks = [
        {"base": "mi", "steps": 4},
        {"base": "pgd-di", "combine": "rgea", "steps": 4},
        {"base": "mi", "steps": 40, "name": "long"},
    ]
    # All are at the long attack by then, and have not done it.
    go_on = tmp_path / "go on"
    surrogates = [held("plain", go_on, 40), network("separable")]
    arguments = (actor, tmp_path / "run", go_on, killed)
    killer = threading.Thread(target=kill_when_running, args=arguments, daemon=True)
    killer.start()
    outcome = carry_out(
        tmp_path, placement, attacks=attacks, surrogates=surrogates, resources=SMALL_PARTS
    )
    killer.join()
    assert killed, "no actor was killed"
    assert outcome.units_failed == 0
    frame = verdicts(tmp_path / "run")
    assert len(frame) == 24 * 3 * 2
    assert not frame.duplicated(KEYS).any()
    assert_same(frame[frame["attack"] != "long"].reset_index(drop=True), reference)


def test_a_local_session_listens_on_loopback_only():
    script = (
        "from gauntlet.actors.session import connect; import glob, os, ray; connect(None)\n"
        "@ray.remote\n"
        "class Actor:\n"
        "    def pid(self): return os.getpid()\n"
        "ray.get(Actor.remote().pid.remote())\n"
        "from importlib.util import find_spec; import socket, time\n"
        "def exports():\n"  # by the agent of gauntlet[cluster], which is the last to listen
        "    try: socket.create_connection(('127.0.0.1', ray.nodes()[0]['MetricsExportPort']))\n"
        "    except OSError: return False\n"
        "    return True\n"
        "until = time.monotonic() + 60\n"
        "while find_spec('aiohttp') and not exports():\n"
        "    assert time.monotonic() < until\n"
        "    time.sleep(0.1)\n"
        "pids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
        "me, parent = os.getpid(), {}\n"
        "for p in pids:\n"
        "    try: parent[int(p)] = int(open(f'/proc/{p}/stat').read().rsplit(')')[-1].split()[1])\n"
        "    except OSError: pass\n"
        "def mine(p):\n"
        "    while p and p != me: p = parent.get(p, 0)\n"
        "    return p == me\n"
        "inodes = set()\n"
        "for p in filter(mine, list(parent)):\n"
        "    for fd in glob.glob(f'/proc/{p}/fd/*'):\n"  # none of a process that has ended
        "        try: link = os.readlink(fd)\n"
        "        except OSError: continue\n"
        "        if link.startswith('socket:['): inodes.add(link[8:-1])\n"
        "for table in ('tcp', 'tcp6'):\n"
        "    for line in open(f'/proc/net/{table}').readlines()[1:]:\n"
        "        f = line.split()\n"
        "        if f[3] == '0A' and f[9] in inodes: print('LISTENS', f[1].rsplit(':')[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    listening = [line.split()[1] for line in done.stdout.splitlines() if "LISTENS" in line]
    assert len(listening) >= 3
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert set(listening) <= loopback


def test_a_flag_tells_that_a_target_was_trained_adversarially(tmp_path):
    robust = network("patches", adversarial=True)
    defended = {"like": "patches", "defence": {"kind": "bit-reduction"}, "name": "both"}
    named = network("residual", adversarial=True, group="mine")
    targets = [network("wide"), robust, defended, named]
    outcome = carry_out(tmp_path, "in-process", targets=targets, select={"limit": 4})
    assert outcome.units_failed == 0
    frame = verdicts(tmp_path / "run").drop_duplicates("target").set_index("target")
    assert frame["group"].to_dict() == {
        "wide": "normal", "patches": "adversarial", "both": "transform", "residual": "mine",
    }  # fmt: skip
    cards = results.manifest(str(tmp_path / "run")).models
    assert cards["target/patches"].adversarial == "as the job states"
    assert cards["target/wide"].adversarial is None
