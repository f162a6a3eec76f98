"""Throughput: the engine against a bare loop, packed and pinned placement against the engine.

    python -m bench.engine [--images 256] [--steps 10] [--batch 64] [--repeats 3]

Four CIFAR ResNets, Ens-MI and RGEA. The bare loop does the same arithmetic on the same folded
models, in the same process, and nothing else. Ratios above one mean faster than what they are
compared with.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bench.networks import images, specs
from gauntlet import Attack, Batch, Goal
from gauntlet.actors.own_modules import OwnModules
from gauntlet.actors.placement import lay_out
from gauntlet.actors.ray_engine import RayEngine
from gauntlet.actors.session import connect, disconnect
from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.results.run_folder import RunFolder
from gauntlet.pipeline.run.engine import Carries
from gauntlet.pipeline.run.local import LocalEngine, LocalSurrogates
from gauntlet.pipeline.run.order import Order
from gauntlet.pipeline.run.plan import Plan, Resources, TaskSpec
from gauntlet.pipeline.run.plan_models import configure, device

EPSILON = 4 / 255


def attacks(steps: int) -> dict[str, Attack]:
    return {
        "Ens-MI": Attack(base="mi", epsilon=EPSILON, steps=steps, step_size=EPSILON / steps),
        "RGEA": Attack(combine="rgea", epsilon=EPSILON, steps=steps, step_size=EPSILON / steps),
    }


def bare_loop(
    name: str, models: list[Model], clean: Tensor, labels: Tensor, attack: Attack
) -> Tensor:
    """Write the method out by hand: no queries, parts, checks or traces."""
    x, momentum, alpha = clean, torch.zeros_like(clean), attack.alpha
    for _ in range(attack.steps):
        gradients = []
        for model in models:
            leaf = x.detach().requires_grad_()
            loss = F.cross_entropy(model(leaf), labels, reduction="sum")
            gradients.append(torch.autograd.grad(loss, leaf)[0])
        stacked = torch.stack(gradients)
        if name == "Ens-MI":
            mean = stacked.mean(0)
            momentum = momentum + mean / mean.abs().mean((1, 2, 3), keepdim=True)
            x = x + alpha * momentum.sign()
        else:
            flat = stacked.flatten(2).transpose(0, 1).double()
            units = flat / flat.norm(dim=2, keepdim=True)
            gram = units @ units.mT
            values, vectors = torch.linalg.eigh(gram)
            keep = values > 1e-6 * values[:, -1:]
            inverse = torch.where(keep, 1 / values, 0.0)
            weights = (vectors * (vectors.sum(1) * inverse)[:, None]).sum(2)
            d = (weights[:, :, None] * units).sum(1).float().reshape(x.shape)
            rms = d.square().mean((1, 2, 3), keepdim=True).sqrt()
            x = x + alpha * d / rms
        x = torch.minimum(torch.maximum(x, clean - EPSILON), clean + EPSILON).clamp(0, 1)
    return ((x * 255).round() / 255).cpu()


def seconds(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    return time.perf_counter() - started


def batches(count: int, size: int) -> list[Batch]:
    pixels, labels = images(count)
    return [
        Batch(
            tuple(f"{i}" for i in range(first, min(first + size, count))),
            pixels[first : first + size],
            Goal.UNTARGETED,
            labels=labels[first : first + size],
        )
        for first in range(0, count, size)
    ]


def engine_against_bare(
    plan: Plan, work: list[Batch], steps: int
) -> dict[str, tuple[float, float]]:
    """Return the engine's throughput over the bare loop's, and its seconds for all batches.

    Both take every batch in turn, whoever comes first changing, in two threads; the ratio is the
    median over the batches, so that a burst of other load on the machine spoils one of them only.
    """
    configure(plan.resources, 2)
    work = [batch.to(device()) for batch in work]
    surrogates = LocalSurrogates(plan, granted())
    models = list(surrogates.models.values())
    found = {}
    for name, attack in attacks(steps).items():
        warm = attack.model_copy(update={"steps": 1})
        surrogates.attack(warm, work[0])
        ratios, engine = [], 0.0
        for index, batch in enumerate(work):
            assert batch.labels is not None
            by_hand = lambda b=batch: bare_loop(name, models, b.images, b.labels, attack)  # noqa: B023, E731
            ours = lambda b=batch: surrogates.attack(attack, b)  # noqa: B023, E731
            first, second = (by_hand, ours) if index % 2 else (ours, by_hand)
            times = {first: seconds(first), second: seconds(second)}
            ratios.append(times[by_hand] / times[ours])
            engine += times[ours]
        found[name] = (median(ratios), engine)
    return found


def placement_against_engine(
    placed: Plan, placement: str, plan: Plan, repeats: int
) -> dict[str, float]:
    """Return a placement's throughput over this process's, all processes warm, all lanes busy.

    Both carry the same orders from ids to rows. This process, in two threads, goes before and after
    every measurement of the placement, which is compared with the mean of the two: a machine that
    grows slower or faster between them is not mistaken for a difference. The ratio is the median of
    the repeats.
    """
    engine = RayEngine(
        placed,
        lay_out(placed, connect(None), placement, "benchmark"),
        modules=OwnModules(granted()),
    )
    configure(plan.resources, 2)
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        storage = RunFolder(folder)
        there = engine.carriers(examples, {}, storage)
        here = LocalEngine(plan, permission=granted()).carriers(examples, {}, storage)
        found = {}
        for index, name in enumerate(attacks(1)):
            orders = _orders(plan, examples, index)
            _carried(here, orders[:1])
            _carried(there, orders)
            before, ratios = _carried(here, orders), []
            for _ in range(repeats):
                taken = _carried(there, orders)
                after = _carried(here, orders)
                ratios.append((before + after) / 2 / taken)
                before = after
            found[name] = median(ratios)
    engine.close()
    disconnect()
    return found


def _orders(plan: Plan, examples: Examples, attack: int) -> list[Order]:
    size = plan.resources.batch
    parts = [range(at, min(at + size, len(examples))) for at in range(0, len(examples), size)]
    return [
        Order(tuple(part), tuple(examples.ids[at] for at in part), {attack: f"{attack}-{part[0]}"})
        for part in parts
    ]


def _carried(carriers: Sequence[Carries], orders: Sequence[Order]) -> float:
    """Return the seconds in which all lanes of some carriers carry orders out."""
    left = SimpleQueue[Order]()
    for order in orders:
        left.put(order)

    def lane(carrier: Carries) -> None:
        with suppress(Empty):
            while True:
                carrier.carry(left.get_nowait())

    threads = [
        threading.Thread(target=lane, args=(carrier,))
        for carrier in carriers
        for _ in range(carrier.lanes)
    ]

    def work() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return seconds(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()

    folder = tempfile.TemporaryDirectory(prefix="images-")
    pixels, labels = images(given.images)
    levels = (pixels * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    np.savez(f"{folder.name}/noise.npz", images=levels.numpy(), labels=labels.numpy())

    def plan(**resources: object) -> Plan:
        return Plan(
            name="bench",
            task=TaskSpec(kind="classification", goal="untargeted"),
            root=Path(folder.name),
            data=Npz(source="npz", path="noise.npz"),
            surrogates=specs(),
            targets=specs()[:1],
            attacks=tuple(attacks(given.steps).values()),
            resources=Resources(batch=given.batch, **resources),
        )

    local = engine_against_bare(plan(), batches(given.images, given.batch), given.steps)
    placed = {
        name: placement_against_engine(settings, name, plan(), given.repeats)
        for name, settings in {
            "packed": plan(workers=2, threads=1, in_flight=2),
            "pinned": plan(threads=1, in_flight=2),
        }.items()
    }
    folder.cleanup()
    title = (
        f"four CIFAR ResNets, {given.images} images, {given.steps} steps, batch {given.batch}, "
        f"{torch.get_num_threads()} threads; throughput ratios, demanded in brackets"
    )
    table = Table(title=title)
    for column in ("attack", "images/s", "engine / bare loop (0.95)", "packed / engine (1.0)",
                   "pinned / engine (0.9)"):  # fmt: skip
        table.add_column(column)
    for name, (ratio, engine) in local.items():
        ratios = (ratio, placed["packed"][name], placed["pinned"][name])
        table.add_row(name, f"{given.images / engine:.2f}", *(f"{ratio:.2f}" for ratio in ratios))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
