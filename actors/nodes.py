"""The nodes of a cluster: whether each can do what a run needs of it, before any work is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan

PATIENCE = 120.0
"""Seconds in which every node has to say what it has: each starts a process for that."""


def needed_paths(plan: Plan) -> list[str]:
    """Return the files and folders here that a plan names, which its workers read, too."""
    given = (getattr(plan.data, field) for field in plan.data.paths)
    names = [value for value in given if isinstance(value, str)]
    for spec in (*plan.surrogates, *plan.targets):
        kind, _, path = spec.source.partition(":")
        names += [path] if kind == "file" else []
    paths = (plan.root.absolute() / expanded(name) for name in names)
    return sorted({str(path) for path in paths if os.path.exists(path)})


def refuse_unfit(paths: Sequence[str]) -> None:
    """Refuse a cluster with nodes that lack files, or have another version of this package.

    Nodes that the autoscaler adds later are not seen.

    Args:
        paths: what every node has to have.

    Raises:
        BadInput: with every node and what is wrong with it.
    """
    look = ray.remote(_look())
    nodes = [node for node in ray.nodes() if node["Alive"] and _works(node["Resources"])]
    calls = {
        node["NodeManagerHostname"]: look.options(
            num_cpus=0, max_retries=1, scheduling_strategy=_there(node["NodeID"])
        ).remote(list(paths))
        for node in nodes
    }
    problems: list[Problem] = []
    for host, call in calls.items():
        try:
            problems += _problems(host, *ray.get(call, timeout=PATIENCE))
        except (ray.exceptions.RayError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[-1:]
            problems.append(Problem("--address", f"node {host} does no work: {''.join(reason)}"))
    if problems:
        raise BadInput(dict.fromkeys(problems))


def _works(has: dict[str, float]) -> bool:
    return bool(has.get("CPU") or has.get("GPU"))


def _there(node: str) -> Any:
    return NodeAffinitySchedulingStrategy(node, soft=False)


def _look() -> Callable[[list[str]], tuple[str | None, list[str]]]:
    def look(paths: list[str]) -> tuple[str | None, list[str]]:
        # It travels whole, and names nothing of this package, which the node may not have.
        import os
        from importlib import metadata

        try:
            version = metadata.version("gauntlet")
        except metadata.PackageNotFoundError:
            version = None
        return version, [path for path in paths if not os.path.exists(path)]

    return look


def _problems(host: str, version: str | None, missing: Sequence[str]) -> Iterator[Problem]:
    here = metadata.version("gauntlet")
    if version != here:
        has = "no Gauntlet" if version is None else f"Gauntlet {version}"
        what = f"node {host} has {has}, the driver {here}: install the same on every node"
        yield Problem("--address", what)
    for path in missing:
        what = (
            f"{path} is not on node {host}: copy it there (rsync -a {path} {host}:{path}), mount a "
            "folder that all nodes share and name that with --set root=FOLDER, or submit from a "
            "folder that holds it"
        )
        yield Problem("data", what)
