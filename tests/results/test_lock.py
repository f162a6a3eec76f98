"""One driver a run: the second is refused, a dead one's lock is taken over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.lock import SILENCE, Lock, LockLost, is_held
from gauntlet.pipeline.results.storage import Storage


@pytest.fixture
def run(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def changed(run: Storage, **fields: object) -> None:
    """Write the lock that is there as somebody else's."""
    path = Path(run.location, "lock.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def left_behind(run: Storage, **fields: object) -> None:
    """Leave a lock as a driver that was killed does, of a process that lives."""
    with Lock(run):
        content = run.read("lock.json")
    run.write("lock.json", content)
    changed(run, **fields)


def taken_over(run: Storage) -> list[str]:
    notes: list[str] = []
    with Lock(run, notes.append) as lock:
        lock.check()
    assert not run.exists("lock.json")
    return notes


def test_a_second_driver_is_refused_and_told_of_the_first(run: Storage) -> None:
    with Lock(run):
        assert is_held(run)
        with pytest.raises(BadInput, match=rf"process {os.getpid()} on \S+, begun 0 s ago is at"):
            Lock(run).__enter__()
        assert is_held(run)
    assert not is_held(run)
    assert taken_over(run) == []


def test_the_lock_goes_whatever_ends_the_run(run: Storage) -> None:
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error), Lock(run):
            raise error
        assert os.listdir(run.location) == []


def test_a_killed_driver_s_lock_is_taken_over_with_a_note(run: Storage) -> None:
    script = (
        "import os, sys; from gauntlet.pipeline.results.lock import Lock\n"
        "from gauntlet.pipeline.results.storage import Storage\n"
        "Lock(Storage(sys.argv[1])).__enter__(); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.Popen([sys.executable, "-c", script, run.location])
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    assert not is_held(run), "a zombie lives no more"
    killed.wait()
    (note,) = taken_over(run)
    assert note.startswith(f"took the run over from process {killed.pid} on ")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_process_id_that_is_used_again_is_another_process(run: Storage) -> None:
    left_behind(run, born="1")
    assert len(taken_over(run)) == 1


def test_a_driver_elsewhere_lives_while_it_gives_signs_of_life(run: Storage) -> None:
    left_behind(run, machine="elsewhere", host="node7", process=1, since=time.time() - 600)
    with pytest.raises(BadInput, match="process 1 on node7, begun 10 min ago is at work"):
        Lock(run).__enter__()
    silent = time.time() - SILENCE - 1
    os.utime(Path(run.location, "lock.json"), (silent, silent))
    assert taken_over(run) == ["took the run over from process 1 on node7, begun 10 min ago, "
                               "which is no more at work"]  # fmt: skip


def test_a_lock_that_says_nothing_is_taken_over_once_it_is_old(run: Storage) -> None:
    run.write("lock.json", b"{")
    with pytest.raises(BadInput, match="an unknown process is at work"):
        Lock(run).__enter__()
    os.utime(Path(run.location, "lock.json"), (0, 0))
    assert len(taken_over(run)) == 1


def test_a_driver_that_lost_its_lock_records_nothing_more(run: Storage) -> None:
    with Lock(run) as lock:
        changed(run, token="of another")
        with pytest.raises(LockLost, match="another driver has taken this run over"):
            lock.check()
    assert run.exists("lock.json"), "it is the other one's"
