"""Joining a Ray cluster, or starting a session of this process's own that nobody else can reach."""

from __future__ import annotations

import atexit
import gc
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray._private import auto_init_hook, ray_constants
from ray.experimental import internal_kv

from gauntlet.actors.address import VARIABLE, greet, resolve
from gauntlet.actors.devices import Devices, Node, gpu_memory, local_memory
from gauntlet.actors.lost import tell_lost
from gauntlet.actors.own_session import start
from gauntlet.actors.process_state import (
    SET_BY_RAY,
    as_they_are,
    environment,
    forget_token,
    quiet,
    signals_kept,
    take_token,
)
from gauntlet.actors.vital import Contact, Watch, raylet_here
from gauntlet.pipeline.problems import BadInput, Problem

_leaving: ExitStack | None = None
"""What ends the session that `connect` began; None where there is none, or it is the caller's."""


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
    global _leaving
    here = ray.is_initialized()
    if here and _leaving is None:
        _refuse_another(address)
        note(f"Ray: the session of this process at {ray.get_runtime_context().gcs_address}")
    elif not here:
        # A thread that still asks when the session has ended must not start another one.
        auto_init_hook.enable_auto_connect = False
        if address in (None, "local"):
            _leaving = start(note)
        else:
            _leaving = _join(resolve(address or "auto"), note, runtime_env)
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
    changes = {VARIABLE: None, "RAY_API_SERVER_ADDRESS": None, **as_they_are(SET_BY_RAY)}
    with environment(changes), quiet():
        take_token()
        yield


def _join(
    address: str, note: Callable[[str], None], runtime_env: dict[str, Any] | None
) -> ExitStack:
    note(f"Ray: joining the cluster at {address}")
    with ExitStack() as leaving:
        leaving.callback(forget_token)
        leaving.enter_context(environment(as_they_are(SET_BY_RAY)))
        forget_token()  # of a session that the caller began and ended
        leaving.enter_context(quiet())
        if "://" not in address:  # a client of Ray's has a limit of its own
            leaving.callback(Contact(address, note, tell_lost).stop)
        leaving.callback(ray.shutdown)
        try:
            greet(address)
            with signals_kept():
                ray.init(
                    address=address,
                    log_to_driver=False,
                    configure_logging=False,
                    runtime_env=runtime_env,
                )
        except BadInput:
            raise
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            # Ray does not say it of a cluster that refuses this process's token, or wants one.
            what = (
                f"no Ray cluster to join at {address}: {error}; is it of this version of Ray? if "
                "it has a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
            )
            raise BadInput(Problem("--address", what)) from error
        # When that ends, so does this process: by Ray, without a word, unless it is faster.
        leaving.callback(Watch(raylet_here(), _lost_node).stop)
        return leaving.pop_all()


def _lost_node(what: str) -> None:
    tell_lost(f"this machine is no part of the cluster any more: {what} is gone")


def _refuse_another(address: str | None) -> None:
    here = ray.get_runtime_context().gcs_address
    if address in (None, "", "auto", here):
        return
    what = (
        f"this process is part of the Ray cluster at {here} already; call ray.shutdown() first, "
        "or leave the address out"
    )
    raise BadInput(Problem("--address", what))
