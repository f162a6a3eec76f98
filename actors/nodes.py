"""The nodes of a cluster: whether each can do what a run needs of it, before any work is done."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.build import weights_file
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan import Plan

PATIENCE = 120.0
"""Seconds in which every node has to say what it has: each starts a process for that."""


def needed_paths(plan: Plan) -> list[str]:
    """Return the files and folders here that a plan names, which its workers read, too."""
    given = (getattr(plan.data, field) for field in plan.data.paths)
    names = [value for value in given if isinstance(value, str)]
    names += [attack.images for attack in plan.attacks if attack.images is not None]
    root = plan.root.absolute()
    networks = list(_networks((*plan.surrogates, *plan.targets)))
    names += [name for spec in networks for name in spec.files]
    weights = (weights_file(spec, root) for spec in networks)
    paths = [root / expanded(name) for name in names] + [path for path in weights if path]
    return sorted({str(path) for path in paths if os.path.exists(path)})


def _networks(specs: Sequence[ModelSpec]) -> Iterator[ModelSpec]:
    """Yield models and the members of those that are means."""
    for spec in specs:
        yield spec
        yield from _networks(spec.members)


def refuse_unfit(paths: Sequence[str]) -> None:
    """Refuse a cluster with nodes that lack files, or have another version of this package.

    Nodes that the autoscaler adds later are not seen.

    Args:
        paths: what every node has to have.

    Raises:
        BadInput: with every node and what is wrong with it.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and _works(node["Resources"])]
    hosts = {node["NodeID"]: node["NodeManagerHostname"] for node in nodes}
    if problems := unfit(hosts, paths):
        raise BadInput(dict.fromkeys(problems))


def unfit(hosts: Mapping[str, str], paths: Sequence[str]) -> list[Problem]:
    """Ask nodes, all at once, and return what is wrong with them.

    Args:
        hosts: their names, by node ID: several may have the same.
        paths: as of `refuse_unfit`.
    """
    look = ray.remote(_look())
    calls = {
        node: look.options(num_cpus=0, max_retries=1, scheduling_strategy=_there(node)).remote(
            list(paths)
        )
        for node in hosts
    }
    problems: list[Problem] = []
    until = time.monotonic() + PATIENCE
    for node, call in calls.items():
        host = hosts[node]
        try:
            answer = ray.get(call, timeout=max(0.0, until - time.monotonic()))
            problems += _problems(host, *answer)
        except (ray.exceptions.RayError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[-1:]
            problems.append(Problem("--address", f"node {host} does no work: {''.join(reason)}"))
    return problems


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
