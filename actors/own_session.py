"""A Ray session of this process's own, that nobody else can reach."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import ray
from ray._private import ray_constants

from gauntlet.actors import remains
from gauntlet.actors.address import VARIABLE
from gauntlet.actors.devices import this_machine
from gauntlet.actors.lost import tell_lost
from gauntlet.actors.process_state import (
    SET_BY_RAY,
    as_they_are,
    environment,
    forget_token,
    no_cluster,
    quiet,
    signals_kept,
)
from gauntlet.actors.session_folder import SessionFolder
from gauntlet.actors.vital import Watch
from gauntlet.pipeline.problems import BadInput, Problem

_OTHERS = (
    VARIABLE,
    "RAY_GCS_SERVER_PORT",
    "RAY_JOB_CONFIG_JSON_ENV_VAR",
    "RAY_REDIS_ADDRESS",
    "RAY_AUTH_TOKEN_PATH",
)
"""What the environment says of another cluster: its ports, its store, its job's packages."""
_UNLESS_SET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # By default Ray's workers run at niceness 15, and the driver's idle threads delay them.
    "RAY_worker_niceness": "0",
    # Ray itself repeats for ever what a process was killed at for its memory, and says nothing.
    "RAY_task_oom_retries": "3",
}
"""What a local session sets where the person has not."""

_VITAL = {
    ray_constants.PROCESS_TYPE_GCS_SERVER: "its control service (GCS)",
    ray_constants.PROCESS_TYPE_RAYLET: "its raylet",
}
"""Processes without which there is no session, and what they are called."""
PATIENCE, LONGEST = 20.0, 240.0
"""Seconds after which it is said that Ray's start takes long, and that it takes at most."""

_folder: SessionFolder | None = None
"""Of the local session that lives, from its first process to its last."""
_watch: Watch | None = None
"""On the processes of the local session."""


def start(note: Callable[[str], None]) -> ExitStack:
    """Start a session that shares nothing with any other; return what ends it.

    Raises:
        BadInput: when it cannot be started.
    """
    global _folder, _watch
    if other := os.environ.get(VARIABLE):
        note(f"{VARIABLE} is {other}: not joined, that takes --address auto")
    machine = this_machine()
    with ExitStack() as leaving:
        _folder = folder = SessionFolder.make(note)
        leaving.callback(_forget_folder)
        leaving.enter_context(remains.seen_to(folder.path))
        leaving.callback(folder.remove)
        leaving.callback(forget_token)
        changes = {
            **dict.fromkeys(_OTHERS),
            **as_they_are(SET_BY_RAY),
            "RAY_AUTH_TOKEN": secrets.token_hex(32),  # or Ray writes one into the home folder
            **{name: os.environ.get(name, value) for name, value in _UNLESS_SET.items()},
            # Ray replaces 127.0.0.1 by the machine's own address and then listens on all
            # interfaces, unless it is told that this is no cluster, here and in its processes.
            ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0",
        }
        leaving.enter_context(environment(changes))
        forget_token()  # of a session that the caller began and ended
        leaving.enter_context(no_cluster())
        leaving.enter_context(quiet())
        leaving.callback(_shut_down, folder)
        try:
            with signals_kept(), _limited(folder, note):
                ray.init(
                    address="local",
                    num_cpus=machine.cpus,
                    num_gpus=machine.gpus,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(folder.path),
                )
                ray.nodes()  # its control service answers
        except Exception as error:
            # Ray raises bare ones, too: when its node is not up in time on a busy machine; and a
            # ValueError where there is too little memory.
            known = RuntimeError | OSError | ValueError
            if type(error) is not Exception and not isinstance(error, known):
                raise
            reason = str(error).strip().splitlines()[0]
            what = f"no local Ray session could be started: {reason}; in-process needs none"
            raise BadInput(Problem("resources.placement", what)) from error
        _watch = Watch(_vital(), lambda what: tell_lost(f"Ray has ended: {what} is gone"))
        leaving.callback(_stop_watching)
        return leaving.pop_all()


def abandon() -> None:
    """Kill the session that `start` began, if one lives, and delete its folder.

    For a process that ends next: Ray in it waits for what is gone.
    """
    _stop_watching()
    if _folder is not None:
        _folder.remove()


@contextmanager
def _limited(folder: SessionFolder, note: Callable[[str], None]) -> Iterator[None]:
    """Say when Ray's start takes long, and end it when it takes too long: it may never come back.

    Raises:
        Exception: of Ray's, whose processes are gone then.
    """
    started = threading.Event()

    def wait() -> None:
        if started.wait(PATIENCE):
            return
        note(f"Ray is slow to start (is this machine busy?): it is waited for {LONGEST:g} s")
        if not started.wait(LONGEST - PATIENCE):
            remains.end(folder.path)
            if not started.wait(PATIENCE):
                cause = f"Ray did not start within {LONGEST:g} s"
                note(cause)
                tell_lost(cause)

    threading.Thread(target=wait, daemon=True).start()
    try:
        yield
    finally:
        started.set()


def _shut_down(folder: SessionFolder) -> None:
    """End the session; Ray waits without end for a process of its own that hangs."""
    timer = threading.Timer(PATIENCE, remains.end, (folder.path,))
    timer.daemon = True
    timer.start()
    try:
        ray.shutdown()
    finally:
        timer.cancel()


def _vital() -> dict[str, int]:
    worker: Any = import_module("ray._private.worker")
    of: Any = worker._global_node.all_processes
    return {what: of[kind][0].process.pid for kind, what in _VITAL.items() if kind in of}


def _stop_watching() -> None:
    global _watch
    watch, _watch = _watch, None
    if watch is not None:
        watch.stop()


def _forget_folder() -> None:
    global _folder
    _folder = None
