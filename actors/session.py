"""Joining a Ray cluster, or starting a small one that nobody else can reach."""

from __future__ import annotations

import json
import logging
import os
import socket

import ray
from ray._private import auto_init_hook, ray_constants
from ray.experimental import internal_kv

from actors.placement import Devices, Node, local_memory
from pipeline.problems import BadInput, Problem

PATIENCE = 5.0
"""Seconds that a cluster has to answer; Ray itself tries for more than a minute."""


def connect(address: str | None) -> Devices:
    """Join the cluster at ``address`` (``auto`` for the one around), or start a local one.

    A local one has no dashboard and binds to the loopback interface only.

    Raises:
        BadInput: when nothing answers at the address.
        ConnectionError: when what answers there is no cluster, or when none is around.
    """
    # A thread that is still asking when the session has ended must not start another cluster.
    auto_init_hook.enable_auto_connect = False
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # By default Ray's workers run at niceness 15, and the driver's idle threads delay them.
        os.environ.setdefault("RAY_worker_niceness", "0")
        logging.getLogger("ray").setLevel(logging.WARNING)
        if address is None and "RAY_ADDRESS" not in os.environ:
            # Ray replaces 127.0.0.1 by the machine's own address and then listens on all
            # interfaces, unless it is told that this is no cluster, here and in its processes.
            os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
            ray_constants.ENABLE_RAY_CLUSTER = False
            ray.init(
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                _node_ip_address="127.0.0.1",
            )
        else:
            _probe(address)
            ray.init(address=address or "auto", log_to_driver=False, configure_logging=False)
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = tuple(Node(int(has.get("CPU", 0)), int(has.get("GPU", 0))) for has in alive)
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    status = internal_kv._internal_kv_get(ray_constants.DEBUG_AUTOSCALING_STATUS)
    started = os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR) == "0"
    return Devices(max(1, cpus), gpus, local_memory(), nodes, not started and grows(status))


def grows(status: bytes | None) -> bool:
    """Return whether a cluster may add nodes, by its autoscaler's status; True when unknown.

    Ray's launcher names nodes by the types of its file; one started by hand has `node_ID` only.
    """
    try:
        names = json.loads(status or b"")["autoscaler_report"]["active_nodes"]
    except (ValueError, KeyError, TypeError):
        return True
    return not names or not all(str(name).startswith("node_") for name in names)


def disconnect() -> None:
    """Leave the cluster; stop it if it is ours."""
    ray.shutdown()


def _probe(address: str | None) -> None:
    # As Ray does: the variable stands in for an address that is not given, and for `auto`.
    where, otherwise = "--address", "leave --address out"
    if address in (None, "", "auto"):
        address = os.environ.get("RAY_ADDRESS", "auto")
        where, otherwise = "RAY_ADDRESS", "unset it"
    if address is None or address in ("", "auto", "local"):
        return
    place = address.removeprefix("ray://")
    if "://" in place:
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(Problem(where, f"expected HOST:PORT, auto or local, got {address!r}"))
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, UnicodeError):
        what = (
            f"no Ray cluster answers at {place}; start one with `ray start --head`, "
            f"or {otherwise} to use this machine"
        )
        raise BadInput(Problem(where, what)) from None
