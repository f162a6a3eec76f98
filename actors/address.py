"""Which Ray cluster is meant, and whether one answers there, before Ray is asked to join it."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Iterator
from importlib import import_module
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any

from ray._private import services

from gauntlet.pipeline.credentials import HIDDEN
from gauntlet.pipeline.problems import BadInput, Problem

VARIABLE = "RAY_ADDRESS"
"""Names the cluster that `--address auto` joins."""
PATIENCE = 5.0
"""Seconds that a cluster has to take a connection."""
LIMIT = "GAUNTLET_JOIN_S"
"""Names the seconds that a cluster has to say that this process may join it."""
USUAL_LIMIT = 30.0


def resolve(address: str) -> str:
    """Return what Ray is to join: an address where something answers.

    Args:
        address: HOST:PORT, ray://HOST:PORT; or auto: what `RAY_ADDRESS` names, or else a cluster
            that `ray start` has started on this machine.

    Raises:
        BadInput: when it is no such address, or nothing answers there.
    """
    if address not in ("", "auto"):
        _probe(address, "--address", "leave --address out")
        return address
    named = os.environ.get(VARIABLE)
    if named and named not in ("auto", "local"):
        _probe(named, VARIABLE, "unset it")
        return named
    for found in _started_here():
        if answers(found):
            return found
    what = (
        "no Ray cluster runs on this machine; start one with `ray start --head`, give its "
        "HOST:PORT, or leave --address out to use this machine alone"
    )
    raise BadInput(Problem("--address", what))


def _started_here() -> Iterator[str]:
    """Yield the addresses of this machine's clusters, the last one that was started first."""
    # Ray's file outlives the cluster that wrote it.
    if last := services.find_bootstrap_address(None):
        yield last
    services.find_gcs_addresses.cache_clear()
    for address in sorted(services.find_gcs_addresses()):
        # Sessions on the loopback interface are somebody's own, such as a local run's.
        if not _is_loopback(address.rpartition(":")[0].strip("[]")):
            yield address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _probe(address: str, where: str, otherwise: str) -> None:
    place = address.removeprefix("ray://")
    host, _, port = place.rpartition(":")
    if place.startswith(("http://", "https://")):
        what = "an http(s) address is the dashboard's, which submit takes; expected HOST:PORT"
        raise BadInput(Problem(where, what))
    if not host or not port.isdecimal() or int(port) > 65535 or "@" in host or "://" in host:
        _, user, after = address.rpartition("@")
        shown = HIDDEN + after if user else address  # what is before it may be a password
        raise BadInput(Problem(where, f"expected HOST:PORT, auto or local, got {shown!r}"))
    if not answers(place):
        what = (
            f"no Ray cluster answers at {place}; start one with `ray start --head`, "
            f"or {otherwise} to use this machine"
        )
        raise BadInput(Problem(where, what))


def answers(place: str) -> bool:
    """Return whether anything answers at HOST:PORT, within `PATIENCE`."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, ValueError):  # a name that cannot be encoded is a ValueError
        return False
    return True


def greet(address: str) -> None:
    """Wait for a cluster's word that this process may join it; Ray itself waits for minutes.

    Args:
        address: of `resolve`. A ``ray://`` address is not asked: its client has a limit.

    Raises:
        BadInput: when `LIMIT` is no number of seconds.
        ConnectionError: when the cluster says nothing in that time, or no.
    """
    if "://" in address:
        return
    limit, word = _limit(), SimpleQueue[Exception | None]()
    raylet: Any = import_module("ray._raylet")

    def ask() -> None:
        try:
            raylet.GcsClient(address=address)
        except Exception as error:  # of its own types, of an old version too
            word.put(error)
        else:
            word.put(None)

    threading.Thread(target=ask, daemon=True).start()
    try:
        said = word.get(timeout=limit)
    except Empty:
        raise ConnectionError(f"no word within {limit:g} s ({LIMIT} gives it more)") from None
    if said is not None:
        raise ConnectionError(str(said)) from said


def _limit() -> float:
    text = os.environ.get(LIMIT, "")
    try:
        limit = float(text or USUAL_LIMIT)
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise BadInput(Problem(LIMIT, f"expected seconds above 0, got {text!r}"))
    return limit
