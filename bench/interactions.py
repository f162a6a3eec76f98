"""Cost of the interaction-reduced attack: ratios in one process, memory in two others.

    python -m bench.interactions [--images 32] [--steps 10] [--batch 8] [--rows 256] [--threads 2]

ResNet-20 at 32 x 32, official sampling (32 sets of 32 cells) on an 8 x 8 grid. `ir` is compared
with a loop over single images that makes the official code's passes (batch norm unfolded,
contiguous memory, 67 images forward a step: x + delta once for the loss and once for the utility,
the clean image at every step), and with nothing but the passes that must be made (65 images forward
and backward a step, on the engine's own network and in groups of its size). `ir-closed` is compared
with `ir`. Ratios above one mean that the engine is faster.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bench.networks import images, specs
from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.run.local import LocalSurrogates
from gauntlet.pipeline.run.plan import Plan, Resources, TaskSpec
from gauntlet.pipeline.run.plan_models import configure, device

EPSILON = 8 / 255
GRID, SETS, CELLS = 8, 32, 32


def attack(token: str, steps: int) -> Attack:
    options = {"ir": {"grid": GRID, "sets": SETS, "cells": CELLS}} if token == "ir" else {}
    budget = {"epsilon": EPSILON, "step_size": EPSILON / steps}
    return Attack(base=token, steps=steps, options=options, **budget)


def surrogates(rows: int, fold: bool = True) -> LocalSurrogates:
    plan = Plan(
        name="bench",
        task=TaskSpec(kind="classification", goal="untargeted"),
        root=Path(),
        data=Npz(source="npz", path="none"),
        surrogates=specs()[:1],
        targets=specs()[1:2],
        attacks=(attack("ir", 1),),
        resources=Resources(rows_per_pass=rows, fold=fold),
    )
    return LocalSurrogates(plan, granted())


def one_by_one(model: Model, clean: Tensor, labels: Tensor, given: Attack) -> Tensor:
    """Attack each image for itself, with the official code's passes."""
    return torch.cat(
        [_alone(model, clean[i : i + 1], labels[i : i + 1], given) for i in range(len(clean))]
    )


def _alone(model: Model, clean: Tensor, label: Tensor, given: Attack) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    side = clean.shape[2] // GRID
    x = clean
    for _ in range(given.steps):
        leaf = x.detach().requires_grad_()
        loss = F.cross_entropy(model(leaf), label, reduction="sum")
        drawn = torch.randint(GRID**2, (SETS, CELLS), generator=generator)
        cells = torch.zeros(SETS, GRID**2).scatter(1, drawn, 1.0).reshape(SETS, 1, GRID, GRID)
        inside = cells.to(clean).repeat_interleave(side, 2).repeat_interleave(side, 3)
        delta = leaf - clean
        outputs = [
            model(clean + delta),
            model(clean + (1 - inside) * delta),
            model(clean + inside * delta),
            model(clean),
        ]
        rival = outputs[0].detach().scatter(1, label[:, None], -torch.inf).argmax(1)
        whole, rest, part, empty = ((found[:, rival] - found[:, label]).mean() for found in outputs)
        raised = loss - (whole - rest - part + empty)
        (gradient,) = torch.autograd.grad(raised, leaf)
        x = x + given.alpha * gradient.sign()
        x = torch.minimum(torch.maximum(x, clean - EPSILON), clean + EPSILON).clamp(0, 1)
    return (x * 255).round() / 255


def bare_passes(model: Model, clean: Tensor, labels: Tensor, steps: int, rows: int) -> None:
    """Make the passes of `ir` and nothing else."""
    variants, room = 2 * SETS, max(1, rows // len(clean))
    groups = [1] + [min(room, variants - done) for done in range(0, variants, room)]
    inputs = {times: clean.repeat(times, 1, 1, 1) for times in set(groups)}
    for _ in range(steps):
        for times in groups:
            leaf = inputs[times].requires_grad_()
            torch.autograd.grad(model(leaf).sum(), leaf)


def seconds(task: Callable[[], object]) -> float:
    started = time.perf_counter()
    task()
    if device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def batches(count: int, size: int) -> Iterator[Batch]:
    pixels, labels = images(count)
    for first in range(0, count, size):
        rows = slice(first, min(first + size, count))
        ids = tuple(str(i) for i in range(count)[rows])
        yield Batch(ids, pixels[rows], Goal.UNTARGETED, labels=labels[rows])


def ratios(count: int, steps: int, size: int, rows: int) -> dict[str, float]:
    """Return each comparison's median over the batches; the order of the runs goes round."""
    engine, plain = surrogates(rows), surrogates(rows, fold=False)
    folded = next(iter(engine.models.values()))
    unfolded = next(iter(plain.models.values()))
    found: dict[str, list[float]] = {"loop": [], "bare": [], "closed": []}
    work = [batch.to(device()) for batch in batches(count, size)]
    for warm in (True, False):
        for index, batch in enumerate(work[:1] if warm else work):
            t = 1 if warm else steps
            clean, labels, given = batch.images, batch.labels, attack("ir", t)
            assert labels is not None
            tasks: dict[str, Callable[[], object]] = {
                "ir": partial(engine.attack, given, batch),
                "loop": partial(one_by_one, unfolded, clean, labels, given),
                "bare": partial(bare_passes, folded, clean, labels, t, rows),
                "closed": partial(engine.attack, attack("ir-closed", t), batch),
            }
            order = list(tasks)[index % 4 :] + list(tasks)[: index % 4]
            times = {name: seconds(tasks[name]) for name in order}
            if not warm:
                found["loop"].append(times["loop"] / times["ir"])
                found["bare"].append(times["ir"] / times["bare"])
                found["closed"].append(times["ir"] / times["closed"])
    return {name: median(values) for name, values in found.items()}


def status(field: str) -> float:
    """Return a size of this process in MiB, such as its present or its peak resident size."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def peak(token: str, size: int, rows: int) -> None:
    """Run one step in a process of its own; print how far its peak lies above its start, in MiB.

    On a GPU that is the memory of its tensors. On a CPU it reads what Linux keeps of a process;
    `ru_maxrss` would begin at the size of the parent.
    """
    engine, batch = surrogates(rows), next(batches(size, size))
    engine.attack(attack(token, 1), next(batches(1, 1)))  # libraries set up their own buffers
    if device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        engine.attack(attack(token, 1), batch)
        print((torch.cuda.max_memory_allocated() - held) / 2**20)
        return
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = status("VmRSS")
    engine.attack(attack(token, 1), batch)
    print(status("VmHWM") - before)


def peaks(token: str, size: int, rows: tuple[int, int]) -> list[float]:
    found = []
    for each in rows:
        script = f"from bench.interactions import peak; peak({token!r}, {size}, {each})"
        done = subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        )
        found.append(float(done.stdout.split()[-1]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    configure(Resources(), given.threads)
    found = ratios(given.images, given.steps, given.batch, given.rows)
    few = (given.rows // 4, given.rows)
    memory = {token: peaks(token, given.batch, few) for token in ("ir", "ir-closed")}
    on_gpu = device().type == "cuda"
    where = torch.cuda.get_device_name() if on_gpu else f"{given.threads} threads"
    title = (
        f"ResNet-20, {given.images} images, {given.steps} steps, batch {given.batch}, "
        f"{given.rows} rows a pass, {where}; demanded in brackets"
    )
    table = Table("what", "measured", title=title)
    least = "10" if on_gpu else "1.3"
    table.add_row(f"one-by-one loop / ir (at least {least})", f"{found['loop']:.2f}")
    table.add_row("ir / bare passes (at most 1.1)", f"{found['bare']:.2f}")
    table.add_row("ir / ir-closed, whole step (at least 10)", f"{found['closed']:.1f}")
    for token, (small, large) in memory.items():
        what = f"{token}: added peak memory at {few[0]} and {few[1]} rows a pass"
        table.add_row(what, f"{small:.0f} and {large:.0f} MiB")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
