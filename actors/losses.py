"""Errors by which Ray says that a process, or what it held, is lost."""

from __future__ import annotations

import ray

LOSSES = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectStoreFullError,
    ray.exceptions.GetTimeoutError,
)
"""Errors of the cluster; those of the code in its processes are of their own types."""
