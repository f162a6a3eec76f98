"""Attacks beside a bare loop of the same networks on one device, all in one process; needs no Ray.

    python -m bench.gpu [--device cuda] [--k 5] [--pixels 112 224] [--compile inductor cudagraphs]

ResNet-50s with random weights. The bare loop goes forward and back through each of them at every
step and does nothing with the gradients: what it takes is the networks' own. An attack (RGEA-MI)
has their gradients, the combination, the step and the checks. `--device cpu --small` shows in
seconds that all of it runs.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet, resnet50

from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.library.attacking import attack
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.model import Model, Network, adapt
from gauntlet.pipeline.models.precision import autocast_for_networks_only
from gauntlet.pipeline.oracle.in_process import InProcessOracle

CLASSES = 10
AIM = 0.9
"""Share of the bare loop's speed that an attack is to reach."""
COLUMNS = (
    "px", "networks", "bare images/s", "images/s", f"ratio (aim {AIM})", "against the first",
    "utilisation", "least cosine", "median",
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """A way to run the networks.

    Attributes:
        name: what the table calls it.
        networks: of the bare loop.
        models: of the attack, the same networks.
        around: entered around either.
        tf32: whether matrix products may be in TF32.
    """

    name: str
    networks: Sequence[Callable[[Tensor], Tensor]]
    models: Sequence[Model]
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    tf32: bool = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make the settings, and take them back."""
        settings: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
        before = [place.allow_tf32 for place in settings]
        for place in settings:
            place.allow_tf32 = self.tf32
        try:
            with self.around():
                yield
        finally:
            for place, was in zip(settings, before, strict=True):
                place.allow_tf32 = was


def network(seed: int, small: bool, images: Tensor) -> nn.Module:
    """Return a ResNet of random weights, whose batch norms know the images' statistics.

    With those that it is made with, activations grow from block to block and gradients mean little.
    """
    torch.manual_seed(seed)
    made: nn.Module = (
        ResNet(BasicBlock, [1, 1, 1, 1], CLASSES) if small else resnet50(num_classes=CLASSES)
    )
    for part in made.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    made = made.to(images.device).train()
    with torch.no_grad():
        made(images)
    return made.eval().requires_grad_(False)


def ways(networks: Sequence[nn.Module], compilers: Sequence[str]) -> Iterator[Way]:
    """Yield the ways in which the networks are run, the plain one first."""
    kind = next(networks[0].parameters()).device.type
    yield Way("float32", networks, _adapted(networks))
    folded = [fold_batch_norm(one).model for one in networks]
    models = _adapted(folded)
    yield Way("folded, channels_last", folded, models)
    if kind == "cuda":
        yield Way("folded, TF32", folded, models, tf32=True)
    lowered = partial(torch.autocast, kind, torch.bfloat16)
    yield Way("folded, bf16 autocast", folded, models, lowered)
    halves = [fold_batch_norm(one).model.to(torch.bfloat16) for one in networks]
    yield Way("folded, bf16 weights", [_narrow(one) for one in halves], _adapted(halves))
    for backend in compilers:
        compiled = [_compiled(one, backend) for one in folded]
        yield Way(f"folded, {backend}", compiled, _adapted(compiled))
        yield Way(f"folded, bf16, {backend}", compiled, _adapted(compiled), lowered)


def _adapted(networks: Sequence[Network]) -> list[Model]:
    return [adapt(one, name=f"m{at}") for at, one in enumerate(networks)]


def _narrow(half: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda images: half(images.to(torch.bfloat16)).to(images.dtype)


def _compiled(one: nn.Module, backend: str) -> Callable[[Tensor], Tensor]:
    """Return a function, which `adapt` calls as it is; off a module it takes the compiler."""
    compiled = torch.compile(one, backend=backend)

    def call(images: Tensor) -> Tensor:
        outputs: Tensor = compiled(images)
        # CUDA graphs give every call's outputs in the same memory.
        return outputs.clone() if backend == "cudagraphs" else outputs

    return call


def bare(way: Way, images: Tensor, labels: Tensor, steps: int) -> list[Tensor]:
    """Go forward and back through every network at every step; return the last gradients."""
    found: list[Tensor] = []
    for _ in range(steps):
        found = []
        for one in way.networks:
            leaf = images.detach().requires_grad_()
            loss = nn.functional.cross_entropy(one(leaf), labels, reduction="sum")
            found += torch.autograd.grad(loss, leaf)
    return found


def attacked(way: Way, images: Tensor, labels: Tensor, steps: int) -> Tensor:
    """Attack the images."""
    recipe = Attack(base="mi", combine="rgea", steps=steps)
    return attack(way.models, images, labels, recipe, fold=False)


def gradients(way: Way, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Return the gradients that an attack has of each model at its first step."""
    batch = Batch(tuple(map(str, range(len(images)))), images, Goal.UNTARGETED, labels=labels)
    query = Attack().query(Goal.UNTARGETED)
    questions = [Question(at, images) for at in range(len(way.models))]
    with way.entered(), autocast_for_networks_only():
        found = InProcessOracle(way.models).gradients(Setting(batch, query, 0, "i", 0), questions)
    return [answer.gradient for answer in found]


def cosines(found: Sequence[Tensor], exact: Sequence[Tensor]) -> Tensor:
    """Return the cosine of each image's gradient to the exact one, all models', (k * B,)."""
    pairs = zip(found, exact, strict=True)
    flat = [(one.double().flatten(1), other.double().flatten(1)) for one, other in pairs]
    return torch.cat([nn.functional.cosine_similarity(one, other) for one, other in flat])


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long work takes, until the device has done it."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def busy(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds in which the device computes: kernels' own times, or a core's CPU time."""
    if device.type != "cuda":
        started = time.process_time()
        work()
        return (time.process_time() - started) / torch.get_num_threads()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        seconds(work, device)
    return float(sum(event.self_device_time_total for event in profile.key_averages())) / 1e6


def measured(
    way: Way, images: Tensor, labels: Tensor, steps: int, rounds: int
) -> tuple[float, float, float]:
    """Return the least seconds of the bare loop and of the attack, and the device's share of it."""
    loops = [partial(run, way, images, labels, steps) for run in (bare, attacked)]
    times: list[list[float]] = [[], []]
    with way.entered():
        for _ in range(rounds + 1):  # the first warms up
            for taken, loop in zip(times, loops, strict=True):
                taken.append(seconds(loop, images.device))
        alone, ours = (min(taken[1:]) for taken in times)
        return alone, ours, busy(loops[1], images.device) / ours


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="small networks, images and batches")
    parser.add_argument("--pixels", type=int, nargs="+")
    parser.add_argument("--compile", nargs="*", metavar="BACKEND", help="of torch.compile")
    for name in ("k", "batch", "steps", "rounds"):
        parser.add_argument(f"--{name}", type=int)
    usual = {"pixels": [112, 224], "k": 5, "batch": 64, "steps": 10, "rounds": 3}
    little = {"pixels": [32], "k": 2, "batch": 2, "steps": 1, "rounds": 1}
    given = parser.parse_args(arguments)
    parser.set_defaults(**(little if given.small else usual))
    device = torch.device(given.device)
    on_gpu = device.type == "cuda"
    parser.set_defaults(compile=["inductor", "cudagraphs"] if on_gpu else [])
    given = parser.parse_args(arguments)
    named = torch.cuda.get_device_name(device) if on_gpu else f"{platform.machine()} CPU"
    table = Table(title=f"{named}, torch {torch.__version__}: k = {given.k}, batch {given.batch}")
    for column in COLUMNS:
        table.add_column(column)
    for pixels in given.pixels:
        for row in rows(given, pixels, device):
            table.add_row(str(pixels), *row)
    console = Console(width=140)
    console.print(time.strftime("%Y-%m-%d"), f"{given.steps} steps, least of {given.rounds} rounds")
    console.print(table)


def rows(given: argparse.Namespace, pixels: int, device: torch.device) -> Iterator[list[str]]:
    """Yield the table's rows for one size of images."""
    random = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 256, (given.batch, 3, pixels, pixels), generator=random)
    images = (levels / 255).to(device)
    labels = torch.randint(0, CLASSES, (given.batch,), generator=random).to(device)
    networks = [network(seed, given.small, images) for seed in range(given.k)]
    exact: list[Tensor] = []
    first = 0.0
    for way in ways(networks, given.compile):
        try:
            alone, ours, working = measured(way, images, labels, given.steps, given.rounds)
            found = gradients(way, images, labels)
        except Exception as error:  # a compiler that this machine lacks leaves the others
            yield [way.name, f"left out: {type(error).__name__}: {str(error).splitlines()[0][:60]}"]
            continue
        exact, first = exact or found, first or ours
        agree = cosines(found, exact)
        done = given.batch * given.steps
        yield [
            way.name,
            f"{done / alone:.0f}",
            f"{done / ours:.0f}",
            f"{alone / ours:.2f}",
            f"{first / ours:.2f}",
            f"{working:.0%}",
            f"{agree.min():.6f}",
            f"{agree.median():.6f}",
        ]


if __name__ == "__main__":
    main()
