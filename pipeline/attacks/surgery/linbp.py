"""LinBP: linear backpropagation (specification 2.5)."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, ClassVar

import torch
from torch import Tensor, fx, nn

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.surgery.activations import Kink, census, kinks
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.models.graph.editing import belongs_with, duplicate, follow
from gauntlet.pipeline.models.graph.layers import nodes_of
from gauntlet.pipeline.models.graph.operations import is_constant, transparent
from gauntlet.pipeline.models.graph.residuals import Residual, residuals
from gauntlet.pipeline.models.graph.tracing import finish, trace
from gauntlet.pipeline.norms import divide, l2, per_row


class _StraightThrough(torch.autograd.Function):
    """The activated value, with the derivative 1 towards what was activated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, activated: Tensor) -> Tensor:
        return activated.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Tensor | None) -> Tensor:
        return tangent.clone()


class _Fork(torch.autograd.Function):
    """One value read by two branches; what the second sends back gets the length of the first's.

    It has no forward-mode derivative: the map of gradients is not linear.
    """

    @staticmethod
    def forward(value: Tensor) -> tuple[Tensor, Tensor]:
        return value.clone(), value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        # A layer inside the branch may be asked for alone: then only one branch is there.
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, normal: Tensor | None, linear: Tensor | None) -> Tensor | None:
        if normal is None or linear is None:
            return normal if linear is None else linear
        return divide(linear, l2(linear)) * per_row(l2(normal), linear)


class _Join(torch.autograd.Function):
    """The first of two equal values; both get the gradient."""

    @staticmethod
    def forward(normal: Tensor, linear: Tensor) -> Tensor:
        return normal.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient


def straight_through(value: Tensor, activated: Tensor) -> Tensor:
    """Return ``activated``; its gradient goes to ``value`` as it is. Both of the same shape."""
    passed: Tensor = _StraightThrough.apply(value, activated)
    return passed


def fork(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return a value (R, ...) twice, for a normal and for a linearised branch.

    Backward, each row of the second gradient is brought to the Euclidean norm of the first's.
    """
    two: tuple[Tensor, Tensor] = _Fork.apply(value)
    return two


def normal_of(two: tuple[Tensor, Tensor]) -> Tensor:
    """Return the value of a `fork` that the normal branch reads."""
    return two[0]


def linear_of(two: tuple[Tensor, Tensor]) -> Tensor:
    """Return the value of a `fork` that the linearised branch reads."""
    return two[1]


@transparent
def join(normal: Tensor, linear: Tensor) -> Tensor:
    """Return ``normal``, the equal of ``linear``; both get the gradient."""
    joined: Tensor = _Join.apply(normal, linear)
    return joined


@register
class LinearBackpropagation(Surgery):
    """From a layer on, activations pass the gradient unchanged; forward they act.

    ReLU, ReLU6, leaky ReLU and PReLU have the backward slope 1 everywhere. In networks with
    residual branches the official code linearises inside the branches only, and brings each
    branch's gradient to the norm that it would have had, example by example; such branches are
    computed twice. The equation of the paper has neither.
    """

    token = "linbp"
    paper = "Guo 2020"
    random = False
    cost: ClassVar[str] = "k (+ the renormalised branches again)"
    needs: ClassVar[str] = "ReLU or PReLU activations"
    order: ClassVar[int] = 2
    start: str | int | None = None
    """Where it starts: a layer's name (``layer3.1``), or the index of an activation, from 0, the
    number of activations meaning nowhere. Default: the second block of the last but one stage
    (ResNet-50: ``layer3.1``, the official 3_1), or the second half of the activations in a network
    without stages."""
    inside_branches: bool = True
    """Whether activations outside residual branches stay as they are, in networks that have
    residual branches."""
    renormalise: bool = True
    """Whether each branch's gradient gets the norm of the normal one, per example."""

    @property
    def linear(self) -> bool:
        """Whether no gradient is brought to another's norm."""
        return not self.renormalise

    def rewrite(self, network: nn.Module) -> nn.Module:
        """Return the network with linearised activations; the outputs are the same bits."""
        graph = trace(network)
        known = kinks(graph)
        if not known:
            raise ValueError(
                "linbp: the network has no ReLU, ReLU6, leaky ReLU or PReLU to linearise; "
                f"its activations: {census(graph)}"
            )
        found = residuals(graph)
        chosen = self._chosen(graph, known, found)
        branches = {node for residual in found for node in residual.inside}
        if found and self.inside_branches:
            chosen = [kink for kink in chosen if kink.node in branches]
        if not chosen and self.start != len(known):
            raise ValueError(
                f"linbp: there is nothing to linearise from {self.start!r} on"
                + (" inside residual branches" if found and self.inside_branches else "")
            )
        wanted: Set[fx.Node] = {kink.node for kink in chosen}
        if self.renormalise:
            for residual in _outermost(found):
                wanted = _renormalise(graph, residual, wanted)
        for kink in kinks(graph):
            if kink.node in wanted:
                _linearise(graph, kink)
        return finish(graph)

    def _chosen(
        self, graph: fx.GraphModule, known: list[Kink], found: list[Residual]
    ) -> list[Kink]:
        """Return the activations from the start on."""
        if isinstance(self.start, int):
            if not 0 <= self.start <= len(known):
                raise ValueError(f"linbp: start must be in 0..{len(known)}, got {self.start}")
            return known[self.start :]
        order = {node: index for index, node in enumerate(graph.graph.nodes)}
        if self.start is not None:
            first = min(order[node] for node in nodes_of(graph, self.start))
            return [kink for kink in known if order[kink.node] >= first]
        last = found[-1].stage if found else 0
        if last == 0:
            return known[len(known) // 2 :]
        stage = [residual for residual in found if residual.stage == last - 1]
        # A stage with one block only starts with it.
        block = stage[min(1, len(stage) - 1)]
        return [kink for kink in known if order[kink.node] > order[block.fork]]


def _outermost(found: list[Residual]) -> list[Residual]:
    """Return the branches that lie in no other branch."""
    inner = {node for residual in found for node in residual.inside}
    return [residual for residual in found if residual.node not in inner]


def _linearise(graph: fx.GraphModule, kink: Kink) -> None:
    node = kink.node
    readers = list(node.users)
    with graph.graph.inserting_before(node):
        value = graph.graph.call_method("detach", (kink.source,))
    belongs_with(value, node)
    node.replace_input_with(kink.source, value)
    with graph.graph.inserting_after(node):
        passed = graph.graph.call_function(straight_through, (kink.source, node))
    belongs_with(passed, node)
    for reader in readers:
        reader.replace_input_with(node, passed)


def _renormalise(graph: fx.GraphModule, residual: Residual, wanted: Set[fx.Node]) -> Set[fx.Node]:
    """Compute a branch twice; the second one's activations are wanted in place of the first's."""
    inside = set(residual.inside)
    mine = [node for node in residual.inside if node in wanted]
    if not mine:
        return wanted
    if any(_reads_elsewhere(node, residual.fork, inside) for node in residual.inside):
        raise ValueError(
            f"linbp: the branch {residual.block or residual.branch.name} reads more than one "
            "value, so that its gradient has no single norm: set renormalise: false"
        )
    readers = [node for node in residual.fork.users if node in inside]
    two = follow(graph, residual.fork, fork, readers=())
    normal = follow(graph, two, normal_of, readers=())
    linear = follow(graph, two, linear_of, readers=())
    for reader in readers:
        reader.replace_input_with(residual.fork, normal)
    copies = duplicate(graph, residual.inside, residual.node, {normal: linear})
    # Layers inside are henceforth those of the branch that is differentiated as it is meant to be.
    home = (residual.node,) if residual.kind == "sum" else tuple(copies.values())
    for node in (two, normal, linear, *residual.inside):
        belongs_with(node, *home)
    behind = [residual.node] if residual.kind == "sum" else list(residual.branch.users)
    with graph.graph.inserting_after(copies[residual.branch]):
        joined = graph.graph.call_function(join, (residual.branch, copies[residual.branch]))
    belongs_with(joined, *home)
    for reader in behind:
        if reader not in inside:
            reader.replace_input_with(residual.branch, joined)
    return (wanted - set(mine)) | {copies[node] for node in mine}


def _reads_elsewhere(node: fx.Node, origin: fx.Node, inside: Set[fx.Node]) -> bool:
    return any(
        source is not origin and source not in inside and not is_constant(source)
        for source in node.all_input_nodes
    )
