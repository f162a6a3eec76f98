"""Residual branches of a network, found by structure: no names, no block classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import fx

from gauntlet.pipeline.models.graph.operations import (
    changes_map,
    has_parameters,
    is_activation,
    is_addition,
    is_constant,
    is_shape,
    keeps_value,
)
from gauntlet.pipeline.models.graph.stack import modules_around


@dataclass(frozen=True)
class Residual:
    """A branch whose output is added to, or put beside, what it was computed from.

    Attributes:
        kind: ``sum`` (x + F(x)) or ``dense`` (x beside F(x), as in DenseNet).
        node: the addition; for ``dense`` the first concatenation that reads the branch.
        branch: the node that gives F(x), its scale included where it has one.
        skip: the other summand; for ``dense`` what the branch reads.
        fork: the last node that both are computed from.
        inside: the nodes of the branch alone, in order, ``branch`` included.
        stage: index of the stage, from 0.
        first: whether it starts a stage by down-sampling or projecting; see `residuals`.
        projected: whether the skip is anything but the identity.
        block: path of the innermost module around the sum, or the dense layer, or "".
    """

    kind: Literal["sum", "dense"]
    node: fx.Node
    branch: fx.Node
    skip: fx.Node
    fork: fx.Node
    inside: tuple[fx.Node, ...]
    stage: int
    first: bool
    projected: bool
    block: str


def residuals(graph: fx.GraphModule) -> list[Residual]:
    """Return the residual branches of a graph (of `trace`), in order.

    A sum is residual when both summands are computed from a common value, one of them (the skip)
    without any activation, and the other (the branch) with more activations than that, or as many
    and more layers with parameters. A dense layer is one whose input concatenates a list that its
    output is then appended to, or one of several in a row whose input and output are concatenated.

    A stage ends where the skip is projected, or where layers stand between one sum and the next
    fork; in DenseNet where a new list or row begins. ``first`` is true of every sum with a
    projected skip, and of the network's first sum if there is any projected one: the blocks that
    SGM's code leaves alone (specification 2.5, minus its slip about blocks 10, 20, 30).
    """
    past = _Past(graph)
    around = modules_around(graph)
    sums = [draft for draft in (_sum(past, node) for node in past.nodes) if draft is not None]
    dense = _dense(past)
    drafts = sorted(sums + dense, key=lambda draft: past.index[draft.node])
    any_projected = any(draft.projected for draft in sums)
    found: list[Residual] = []
    stage = -1
    for draft in drafts:
        first_sum = draft.kind == "sum" and not any(r.kind == "sum" for r in found)
        inner = (draft.node,) if draft.kind == "sum" else draft.inside
        path = [name for name in around[inner[0]] if all(name in around[n] for n in inner)]
        if not found or _starts_stage(past, found[-1], draft):
            stage += 1
        found.append(
            Residual(
                kind=draft.kind,
                node=draft.node,
                branch=draft.branch,
                skip=draft.skip,
                fork=draft.fork,
                inside=draft.inside,
                stage=stage,
                first=draft.projected or (first_sum and any_projected),
                projected=draft.projected,
                block=path[-1] if path else "",
            )
        )
    return found


@dataclass(frozen=True)
class _Draft:
    kind: Literal["sum", "dense"]
    node: fx.Node
    branch: fx.Node
    skip: fx.Node
    fork: fx.Node
    inside: tuple[fx.Node, ...]
    projected: bool


class _Past:
    """What every node is computed from, as sets of bits: bit i is node i of the graph."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.nodes = list(graph.graph.nodes)
        self.index = {node: index for index, node in enumerate(self.nodes)}
        self.of: dict[fx.Node, int] = {}
        for index, node in enumerate(self.nodes):
            bits = 1 << index
            # A shape is a number: what is computed with it does not depend on the values.
            for source in () if is_shape(node) else node.all_input_nodes:
                bits |= self.of[source]
            self.of[node] = bits
        self.images = self.where(lambda node: node.op == "placeholder" and not is_constant(node))
        self.constants = self.where(is_constant)
        self.activations = self.where(lambda node: is_activation(graph, node))
        self.parameters = self.where(lambda node: has_parameters(graph, node))
        self.kept = self.where(lambda node: keeps_value(graph, node))
        self.mixing = self.where(lambda node: changes_map(graph, node))

    def where(self, test: Callable[[fx.Node], bool]) -> int:
        """Return the set of nodes for which a test holds."""
        return sum(1 << index for index, node in enumerate(self.nodes) if test(node))

    def members(self, bits: int) -> tuple[fx.Node, ...]:
        """Return a set's nodes in order."""
        return tuple(node for index, node in enumerate(self.nodes) if bits >> index & 1)

    def cost(self, bits: int) -> tuple[int, int]:
        """Return how many activations and how many other layers with parameters a set has."""
        return (
            (bits & self.activations).bit_count(),
            (bits & self.parameters & ~self.activations).bit_count(),
        )


def _sum(past: _Past, node: fx.Node) -> _Draft | None:
    if not is_addition(node):
        return None
    one, two = node.args[:2]
    assert isinstance(one, fx.Node)
    assert isinstance(two, fx.Node)
    common = past.of[one] & past.of[two] & ~past.constants
    if not common & past.images:
        return None
    alone = {one: past.of[one] & ~past.of[two], two: past.of[two] & ~past.of[one]}
    skip, branch = sorted((one, two), key=lambda summand: past.cost(alone[summand]))
    lightest, heaviest = past.cost(alone[skip]), past.cost(alone[branch])
    if lightest[0] > 0 or lightest == heaviest:
        return None
    return _Draft(
        "sum",
        node,
        branch,
        skip,
        fork=past.nodes[common.bit_length() - 1],
        inside=past.members(alone[branch]),
        projected=bool(alone[skip] & ~past.kept),
    )


def _dense(past: _Past) -> list[_Draft]:
    """Return the layers of growing lists, and of growing concatenations."""
    lists = {members: node for node in past.nodes if (members := _concatenated(node))}
    found: dict[fx.Node, _Draft] = {}

    def add(new: fx.Node, reader: fx.Node, node: fx.Node) -> None:
        inside = past.members(past.of[new] & ~past.of[reader])
        found.setdefault(new, _Draft("dense", node, new, reader, reader, inside, projected=False))

    for members, node in lists.items():
        for place in range(1, len(members)):
            reader = lists.get(members[:place])
            if reader is not None and not past.of[reader] & ~past.of[members[place]]:
                add(members[place], reader, node)
    grown = {node: pair for members, node in lists.items() if (pair := _grown(past, members))}
    continued = {old for old, _ in grown.values()}
    for node, (old, new) in grown.items():
        # A single one may be something else: a cheap copy of features (GhostNet), a U-Net's skip.
        if old in grown or node in continued:
            add(new, old, node)
    return list(found.values())


def _grown(past: _Past, members: tuple[fx.Node, ...]) -> tuple[fx.Node, fx.Node] | None:
    """Return (x, F(x)) if these two are put side by side, in either order."""
    if len(members) != 2:
        return None
    old, new = sorted(members, key=lambda member: past.index[member])
    if past.of[old] & ~past.of[new] or not past.cost(past.of[new] & ~past.of[old])[1]:
        return None
    return old, new


def _concatenated(node: fx.Node) -> tuple[fx.Node, ...]:
    """Return what a node concatenates, () if it does anything else."""
    if node.op != "call_function" or node.target not in (torch.cat, torch.concat):
        return ()
    members = node.args[0] if node.args else node.kwargs.get("tensors", ())
    if not isinstance(members, list | tuple):
        return ()
    return tuple(member for member in members if isinstance(member, fx.Node))


def _starts_stage(past: _Past, before: Residual, draft: _Draft) -> bool:
    if draft.kind == "dense":
        return draft.skip is not before.node
    if draft.projected or before.kind == "dense":
        return True
    between = past.of[draft.fork] & ~past.of[before.node]
    continues = past.of[draft.fork] & past.of[before.node] == past.of[before.node]
    return not continues or bool(between & past.mixing)
