"""What Ray changes of this process, and how it is put back: variables, log, signals, token."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ray._private import ray_constants

SET_BY_RAY = ("PYTHONBREAKPOINT", "RAY_AUTH_MODE")
"""What Ray sets in this process and does not take back."""


@contextmanager
def environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Set variables, or unset those that are None, and put them back as they were."""
    before = as_they_are(changes)
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def as_they_are(names: Iterable[str]) -> dict[str, str | None]:
    """Return variables as they are; None of those that are not set."""
    return {name: os.environ.get(name) for name in names}


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def no_cluster() -> Iterator[None]:
    """Let Ray take this process for no part of a cluster: it listens on loopback alone then."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def quiet() -> Iterator[None]:
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
def signals_kept() -> Iterator[None]:
    """Keep the handler of SIGTERM; Ray's ends the process with status 15."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def forget_token() -> None:
    """Let this process ask for a token anew when it joins another cluster; Ray keeps the first."""
    raylet: Any = import_module("ray._raylet")
    if hasattr(raylet, "AuthenticationTokenLoader"):  # Ray before 2.52 had no tokens
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()


def take_token() -> None:
    """Let Ray's clients here show the person's token, if there is one."""
    try:
        setup: Any = import_module("ray._private.authentication.authentication_token_setup")
    except ImportError:  # Ray before 2.52 had no tokens
        return
    setup.maybe_enable_token_auth_if_token_available()
