"""Joining a Ray cluster, or starting a session of this process's own that nobody else can reach."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import ray
from ray._private import auto_init_hook, ray_constants
from ray.experimental import internal_kv

from gauntlet.actors.address import VARIABLE, greet, resolve
from gauntlet.actors.devices import Devices, Node, gpu_memory, local_memory, this_machine
from gauntlet.actors.session_folder import SessionFolder
from gauntlet.pipeline.problems import BadInput, Problem

_OTHERS = (
    VARIABLE,
    "RAY_GCS_SERVER_PORT",
    "RAY_JOB_CONFIG_JSON_ENV_VAR",
    "RAY_REDIS_ADDRESS",
    "RAY_AUTH_TOKEN_PATH",
)
"""What the environment says of another cluster: its ports, its store, its job's packages."""
_SET_BY_RAY = ("PYTHONBREAKPOINT", "RAY_AUTH_MODE")
"""What Ray sets in this process and does not take back."""
_UNLESS_SET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # By default Ray's workers run at niceness 15, and the driver's idle threads delay them.
    "RAY_worker_niceness": "0",
    # Ray itself repeats for ever what a process was killed at for its memory, and says nothing.
    "RAY_task_oom_retries": "3",
}
"""What a local session sets where the person has not."""

_leaving: ExitStack | None = None
"""What ends the session that `connect` began; None where there is none, or it is the caller's."""
_folder: SessionFolder | None = None
"""Of the local session that lives, from its first process to its last."""


def connect(
    address: str | None,
    note: Callable[[str], None] = lambda _: None,
    runtime_env: dict[str, Any] | None = None,
) -> Devices:
    """Join the cluster at an address, or start a local session, and return what there is.

    A local session has its own folder, ports and access token, binds to the loopback interface
    only, and takes no notice of any other cluster on the machine. A process that has called
    `ray.init` itself keeps its session, and works in that.

    Args:
        address: HOST:PORT; auto: the cluster around; None or local: a session of our own.
        note: told what a person might not expect.
        runtime_env: what the workers of a cluster need of this machine; a local session has it.

    Raises:
        BadInput: when nothing answers at the address, or what answers there is no cluster, when
            this process is part of another one, or when no local session can be started.
    """
    here = ray.is_initialized()
    if here and _leaving is None:
        _refuse_another(address)
        note(f"Ray: the session of this process at {ray.get_runtime_context().gcs_address}")
    elif not here:
        # A thread that still asks when the session has ended must not start another one.
        auto_init_hook.enable_auto_connect = False
        if address in (None, "local"):
            _start(note)
        else:
            _join(resolve(address or "auto"), note, runtime_env)
        atexit.register(disconnect)
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = tuple(Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive)
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    own = not ray_constants.ENABLE_RAY_CLUSTER
    status = internal_kv._internal_kv_get(ray_constants.DEBUG_AUTOSCALING_STATUS)
    growing = not own and grows(status)
    return Devices(max(1, cpus), gpus, local_memory(), nodes, growing, gpu_memory() if gpus else 0)


def disconnect() -> None:
    """Leave the cluster that `connect` joined, or end the session that it started.

    A session that the process had before stays.
    """
    global _leaving
    leaving, _leaving = _leaving, None
    if leaving is not None:
        gc.collect()  # handles of actors must not outlive their session, see `RayEngine.close`
        leaving.close()
    atexit.unregister(disconnect)


def abandon() -> None:
    """Kill the local session that `connect` began, if one lives, and delete its folder.

    For a process that ends next: Ray in it waits for what is gone.
    """
    if _folder is not None:
        _folder.remove()


def grows(status: bytes | None) -> bool:
    """Return whether a cluster may add nodes, by its autoscaler's status; True when unknown.

    Ray's launcher names nodes by the types of its file; one started by hand has `node_ID` only.
    """
    try:
        names = json.loads(status or b"")["autoscaler_report"]["active_nodes"]
    except (ValueError, KeyError, TypeError):
        return True
    return not names or not all(str(name).startswith("node_") for name in names)


@contextmanager
def addressed_directly() -> Iterator[None]:
    """Let a client of Ray's take the address that it is given, and the person's token, if any."""
    # Ray's variables go before an address that is given to its clients.
    changes = {VARIABLE: None, "RAY_API_SERVER_ADDRESS": None, **_as_they_are(_SET_BY_RAY)}
    with environment(changes), _quiet():
        _take_token()
        yield


def _take_token() -> None:
    try:
        setup: Any = import_module("ray._private.authentication.authentication_token_setup")
    except ImportError:  # Ray before 2.52 had no tokens
        return
    setup.maybe_enable_token_auth_if_token_available()


def _start(note: Callable[[str], None]) -> None:
    """Start a session that shares nothing with any other."""
    global _leaving, _folder
    if other := os.environ.get(VARIABLE):
        note(f"{VARIABLE} is {other}: not joined, that takes --address auto")
    machine = this_machine()
    with ExitStack() as leaving:
        _folder = folder = SessionFolder.make(note)
        leaving.callback(_forget_folder)
        leaving.callback(folder.remove)
        leaving.callback(_forget_token)
        changes = {
            **dict.fromkeys(_OTHERS),
            **_as_they_are(_SET_BY_RAY),
            "RAY_AUTH_TOKEN": secrets.token_hex(32),  # or Ray writes one into the home folder
            **{name: os.environ.get(name, value) for name, value in _UNLESS_SET.items()},
            # Ray replaces 127.0.0.1 by the machine's own address and then listens on all
            # interfaces, unless it is told that this is no cluster, here and in its processes.
            ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0",
        }
        leaving.enter_context(environment(changes))
        _forget_token()  # of a session that the caller began and ended
        leaving.enter_context(_no_cluster())
        leaving.enter_context(_quiet())
        leaving.callback(ray.shutdown)
        try:
            with _signals_kept():
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
        except Exception as error:
            # Ray raises bare ones, too: when its node is not up in time on a busy machine.
            if type(error) is not Exception and not isinstance(error, RuntimeError | OSError):
                raise
            reason = str(error).strip().splitlines()[0]
            what = f"no local Ray session could be started: {reason}; in-process needs none"
            raise BadInput(Problem("resources.placement", what)) from error
        _leaving = leaving.pop_all()


def _forget_folder() -> None:
    global _folder
    _folder = None


def _join(address: str, note: Callable[[str], None], runtime_env: dict[str, Any] | None) -> None:
    global _leaving
    note(f"Ray: joining the cluster at {address}")
    with ExitStack() as leaving:
        leaving.callback(_forget_token)
        leaving.enter_context(environment(_as_they_are(_SET_BY_RAY)))
        _forget_token()  # of a session that the caller began and ended
        leaving.enter_context(_quiet())
        leaving.callback(ray.shutdown)
        try:
            greet(address)
            with _signals_kept():
                ray.init(
                    address=address,
                    log_to_driver=False,
                    configure_logging=False,
                    runtime_env=runtime_env,
                )
        except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
            # Ray does not say it of a cluster that refuses this process's token, or wants one.
            what = (
                f"no Ray cluster to join at {address}: {error}; is it of this version of Ray? if "
                "it has a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
            )
            raise BadInput(Problem("--address", what)) from error
        _leaving = leaving.pop_all()


def _refuse_another(address: str | None) -> None:
    here = ray.get_runtime_context().gcs_address
    if address in (None, "", "auto", here):
        return
    what = (
        f"this process is part of the Ray cluster at {here} already; call ray.shutdown() first, "
        "or leave the address out"
    )
    raise BadInput(Problem("--address", what))


@contextmanager
def environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables, or unset those that are None, and put them back as they were."""
    before = _as_they_are(changes)
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _as_they_are(names: Iterable[str]) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in names}


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _no_cluster() -> Iterator[None]:
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray's own remarks (on tokens, containers, versions) from a run's first lines."""
    logger = logging.getLogger("ray")
    level, handlers = logger.level, logger.handlers[:]
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM; Ray's ends the process with status 15."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _forget_token() -> None:
    """Let this process ask for a token anew when it joins another cluster; Ray keeps the first."""
    raylet: Any = import_module("ray._raylet")
    if hasattr(raylet, "AuthenticationTokenLoader"):  # Ray before 2.52 had no tokens
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
