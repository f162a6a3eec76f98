"""A hub and its surrogates on one device, in plain processes: times, and whether numbers agree.

    python -m bench.gpu_exchange [--device cuda] [--k 5] [--batch 64] [--pixels 112] [--steps 10]

Each surrogate is in a process of its own, on the device; the loop runs here, once on that device
and once on the CPU: gradients then stay in the memory where the surrogates have written them. What
both give is compared with surrogates in this process, whose loop is where they are. Needs no Ray.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from bench.crew import Crew, CrewOracle
from gauntlet.pipeline.attacks.ask import Oracle
from gauntlet.pipeline.attacks.loop import Attacked, run
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.exchange.arena import Arena
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.oracle.in_process import InProcessOracle

CLASSES = 10
ATTACKS = (
    Attack(base="mi", combine="rgea"),
    Attack(base="mi", combine="ens-logits", name="fused"),
    Attack(base="mi", combine="svre", name="svre"),
)


def network(seed: int, width: int = 32) -> nn.Module:
    """Return a small convolutional network."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * width, CLASSES),
    ).eval()


def noise(examples: int, pixels: int) -> Batch:
    """Return images of noise, 8-bit, with labels."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (examples, 3, pixels, pixels), generator=random) / 255
    labels = torch.randint(0, CLASSES, (examples,), generator=random)
    return Batch(tuple(map(str, range(examples))), images, Goal.UNTARGETED, labels=labels)


def timed(attack: Attack, batch: Batch, oracle: Oracle, rounds: int) -> tuple[Attacked, float]:
    """Return the result, and the least milliseconds of a step."""
    taken = []
    for _ in range(rounds + 1):  # the first warms up
        started = time.perf_counter()
        found = run(attack, batch, oracle)
        found.images.cpu()
        taken.append(time.perf_counter() - started)
    return found, 1000 * min(taken[1:]) / attack.steps


def agreement(found: Attacked, expected: Attacked) -> str:
    """Return how far two results agree."""
    apart = (found.images.cpu() - expected.images.cpu()).abs()
    if not bool(apart.any()):
        return "equal to the last bit"
    return f"{float((apart > 0).float().mean()):.2%} of the values differ, by {apart.max():.2g}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, usual in {"k": 5, "batch": 64, "pixels": 112, "steps": 10, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args(arguments)
    seeds, device = range(given.k), given.device
    batch = noise(given.batch, given.pixels)
    nearby = InProcessOracle([adapt(network(at), name=f"m{at}").to(device) for at in seeds])
    crew = Crew([partial(network, at) for at in seeds], device)
    try:
        for attack in ATTACKS:
            attack = attack.model_copy(update={"steps": given.steps})
            expected, alone = timed(attack, batch.to(device), nearby, given.rounds)
            print(f"{attack.label}, surrogates in this process: {alone:.1f} ms a step")
            for hub in dict.fromkeys((device, "cpu")):
                oracle = CrewOracle(crew, Arena(device=hub), device=hub, note=print)
                found, took = timed(attack, batch.to(hub), oracle, given.rounds)
                said = agreement(found, expected)
                print(f"  {given.k} processes, hub on {hub}: {took:.1f} ms a step; {said}")
    finally:
        crew.close()


if __name__ == "__main__":
    main()
