"""Joining a Ray cluster, or starting a small one that nobody else can reach."""

from __future__ import annotations

import logging
import os
import socket

import ray
from ray._private import ray_constants

from actors.placement import Devices, local_memory
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
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    return Devices(int(resources.get("CPU", 1)), gpus, local_memory())


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
