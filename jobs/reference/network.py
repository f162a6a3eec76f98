"""What a surgery would change in a model, and which layers the model has; nothing is attacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from gauntlet.jobs.reports.grid import figures, names, texts
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.attacks.part import Place, find
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.models.build import build, weightless
from gauntlet.pipeline.models.graph import default_layer, layers, residuals, trace
from gauntlet.pipeline.models.graph.stack import modules_around
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.models.sources.source import catalogue
from gauntlet.pipeline.problems import BadInput, Problem

_PARTS = "gauntlet.pipeline.attacks.surgery."
_INTERNAL = frozenset({"fork", "normal_of", "linear_of"})


@dataclass(frozen=True)
class Touched:
    """One node that a surgery puts into a graph.

    Attributes:
        surgery: token of the part.
        layer: path of the module that the node belongs to, or "".
        what: the operation with its numbers: ``scale_gradient(0.2)``.
        on: the node whose value it reads.
    """

    surgery: str
    layer: str
    what: str
    on: str


def inspect(
    source: str,
    console: Terminal,
    *,
    surgery: str = "",
    list_layers: bool = False,
    size: int | None = None,
    architecture: str | None = None,
    key: str | None = None,
    root: Path = Path("."),
    permission: Permission = NOTHING,
) -> None:
    """Print a model's residual branches; what surgeries would touch; its layers.

    Weights are not needed where the source can make the network without them.

    Args:
        source: as in a job: ``torchvision/resnet18``, ``zoo/NAME``, ``file:PATH``.
        console: where to print.
        surgery: tokens of surgeries, separated by commas.
        list_layers: whether to print the layers, with shapes.
        size: side of the input for the shapes; the model's own by default.
        architecture: of a ``file:`` source.
        key: which state dict of a ``file:`` source that holds several.
        root: folder that relative paths start from.
        permission: the code of the person's that an ``import:`` may run.

    Raises:
        BadInput: when the source, a surgery or the network does not allow it.
    """
    network, preprocessing = bare_network(source, root, architecture, permission, key)
    chosen = surgeries(surgery)
    try:
        _print_residuals(network, source, console)
        if chosen:
            _print_touched(touched(network, chosen), source, console)
        if list_layers:
            side = (size, size) if size is not None else preprocessing.input_size
            _print_layers(network, side, source, console)
    except ValueError as error:
        raise BadInput(Problem(source, str(error))) from None


def bare_network(
    source: str,
    root: Path,
    architecture: str | None = None,
    permission: Permission = NOTHING,
    key: str | None = None,
) -> tuple[nn.Module, Preprocessing]:
    """Return a source's network, with random weights if the source allows it, and its convention.

    Raises:
        BadInput: when the source names nothing known, or its weights are needed and cannot be had.
    """
    if near := _of_libraries(source):
        choices = " or ".join(map(repr, near))
        raise BadInput(Problem("source", f"{source!r} has no source; did you mean {choices}?"))
    spec = ModelSpec(name="inspected", source=source, architecture=architecture, key=key)
    model = build(weightless(spec), root=root, permission=permission)
    return model.network, model.preprocessing


def _of_libraries(name: str) -> list[str]:
    """Return the sources that know a bare name, such as ``resnet18``, with that name."""
    if not name or "/" in name or ":" in name:
        return []
    found = []
    for kind in catalogue():
        spec = kind.weightless(ModelSpec(name="inspected", source=f"{kind.scheme}{name}"))
        if kind.scheme.endswith("/") and not kind.problems(name, spec, Path()):
            found.append(spec.source)
    return found


def surgeries(text: str) -> list[Surgery]:
    """Return the named surgeries with their default settings, in the order of their use.

    Raises:
        BadInput: when a name is no surgery's.
    """
    chosen: list[Surgery] = []
    for token in filter(None, (word.strip().lower() for word in text.split(","))):
        try:
            part = find(token, Place.SURGERY)
        except ValueError as error:
            raise BadInput(Problem("--surgery", str(error))) from None
        made = part()
        assert isinstance(made, Surgery)
        chosen.append(made)
    return sorted(chosen, key=lambda made: made.order)


def touched(network: nn.Module, chosen: Sequence[Surgery]) -> list[Touched]:
    """Return every node that surgeries, done one after the other, put into a network.

    Raises:
        ValueError: when one of them cannot be done.
    """
    found: list[Touched] = []
    known: set[str] = set()
    for surgery in chosen:
        network = surgery.rewrite(network)
        assert isinstance(network, fx.GraphModule)
        around = modules_around(network)
        for node in network.graph.nodes:
            if not _is_surgical(node) or node.name in known:
                continue
            known.add(node.name)
            path = around[node]
            numbers = ", ".join(f"{x:g}" for x in node.args if isinstance(x, float))
            name = str(getattr(node.target, "__name__", node.target))
            what = f"{name}({numbers})" if numbers else name
            on = str(node.all_input_nodes[0])
            found.append(Touched(surgery.token, path[-1] if path else "", what, on))
    return found


def _is_surgical(node: fx.Node) -> bool:
    module = str(getattr(node.target, "__module__", ""))
    return module.startswith(_PARTS) and getattr(node.target, "__name__", "") not in _INTERNAL


def _print_residuals(network: nn.Module, source: str, console: Terminal) -> None:
    found = residuals(trace(network))
    if not found:
        console.print(f"{source}: no residual branches")
        return
    rows = [
        [
            residual.block,
            residual.kind,
            str(residual.stage),
            "projected" if residual.projected else "identity",
            "yes" if residual.first else "",
        ]
        for residual in found
    ]
    columns = [*names("block"), *texts("kind"), *figures("stage"), *texts("skip", "first")]
    print_table(console, f"{source}: residual branches", columns, rows)


def _print_touched(found: Sequence[Touched], source: str, console: Terminal) -> None:
    if not found:
        console.print(f"{source}: the surgery touches nothing")
        return
    rows = [[one.surgery, one.layer, one.what, one.on] for one in found]
    columns = [*texts("surgery"), *names("layer", "node"), *texts("after")]
    print_table(console, f"{source}: nodes put in by surgery", columns, rows)


def _print_layers(
    network: nn.Module, size: tuple[int, int] | None, source: str, console: Terminal
) -> None:
    inputs = None if size is None else torch.zeros(1, 3, *size, dtype=_dtype(network))
    rows = [
        [layer.name, layer.kind, "?" if layer.shape is None else " x ".join(map(str, layer.shape))]
        for layer in layers(network, inputs)
    ]
    columns = [*names("layer", "class"), *figures("shape")]
    print_table(console, f"{source}: layers, in order", columns, rows)
    console.print(f"default layer: {default_layer(network)}")


def _dtype(network: nn.Module) -> torch.dtype:
    values: Any = network.state_dict().values()
    return next((v.dtype for v in values if v.is_floating_point()), torch.get_default_dtype())
