"""CPU time of one step of the loop: everything but the surrogates.

    python -m bench.step [--side 112] [--steps 5] [--repeats 3] [--profile rgea]

Surrogates that answer at once with fixed gradients, one thread; what picking their answers takes is
taken off. The budget is held against the least of all steps, since other load on the machine can
only add to it; the median says how much it did. The second table says which tensor operations the
time of one row goes to.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from gauntlet import Attack, Batch, Goal
from gauntlet.pipeline.attacks.loop import run
from gauntlet.pipeline.attacks.messages import Answer, Question, Setting
from gauntlet.pipeline.attacks.surrogate import Known

RULES = ("ens", "ens-l2", "rgea", "mgda", "svre")
BUDGETS = {("rgea", 5, 8): 12.0, ("rgea", 5, 64): 80.0}
"""CPU milliseconds a step, by rule, surrogates and batch, at 3 x 112 x 112."""
SHOWN = 14


class Instant:
    """An `Oracle` whose k surrogates have one gradient each, whatever the point."""

    def __init__(self, k: int, images: Tensor) -> None:
        generator = torch.Generator().manual_seed(0)
        self.models = tuple(f"surrogate-{index}" for index in range(k))
        self.seconds = 0.0
        self._answers = [
            Answer(images.new_ones(len(images)), torch.randn(images.shape, generator=generator))
            for _ in range(k)
        ]

    def gradients(self, setting: Setting, questions: Sequence[Question]) -> list[Answer]:
        """Return the fixed answers, and count the time it takes to pick their rows."""
        started = time.process_time()
        found = [self._answer(question) for question in questions]
        self.seconds += time.process_time() - started
        return found

    def _answer(self, question: Question) -> Answer:
        whole = self._answers[question.model]
        if question.rows is None:
            return whole
        return Answer(whole.values[question.rows], whole.gradient[question.rows])

    def outputs(self, setting: Setting, questions: Sequence[Question]) -> list[Tensor]:
        """Have none."""
        raise NotImplementedError

    def pullback(
        self, setting: Setting, questions: Sequence[Question], cotangents: Sequence[Tensor]
    ) -> list[Tensor]:
        """Have none."""
        raise NotImplementedError

    def known(self, setting: Setting, model: int) -> Known:
        """Know nothing."""
        return {}


def examples(count: int, side: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator).float() / 255
    ids = tuple(map(str, range(count)))
    return Batch(ids, images, Goal.UNTARGETED, labels=torch.zeros(count, dtype=torch.int64))


def milliseconds(rule: str, batch: Batch, oracle: Instant, steps: int) -> list[float]:
    """Return the CPU time of each of the attack's steps after the first."""
    ends: list[float] = []

    def stepped(t: int, points: Tensor) -> None:
        ends.append(time.process_time() - oracle.seconds)

    attack = Attack(base="mi", combine=rule, steps=steps + 1, step_size=1 / 255)
    run(attack, batch, oracle, quantize=False, on_step=stepped)
    return [1e3 * (end - start) for start, end in pairwise(ends)]


def operations(
    rule: str, batch: Batch, oracle: Instant, steps: int
) -> dict[str, tuple[int, float]]:
    """Return how often a step runs each operation, and its own CPU milliseconds."""
    attack = Attack(base="mi", combine=rule, steps=steps, step_size=1 / 255)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run(attack, batch, oracle, quantize=False)
    found = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    return {
        event.key: (event.count // steps, event.self_cpu_time_total / 1e3 / steps)
        for event in found[:SHOWN]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--profile", choices=RULES, default="rgea")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    times = Table(title=f"CPU ms a step, 3 x {asked.side} x {asked.side}, mi, one thread")
    for column in ("rule", "k", "batch", "least", "median", "budget", "budget / least (1.0)"):
        times.add_column(column)
    spent = Table(title=f"{asked.profile}, k = 5: calls and own CPU ms a step, by operation")
    for column in ("batch", "operation", "calls", "ms"):
        spent.add_column(column)
    for size in (8, 64):
        batch = examples(size, asked.side)
        for k in (5, 20):
            oracle = Instant(k, batch.images)
            for rule in RULES:
                # One of SVRE's updates asks 4k times more.
                steps = 1 if rule == "svre" else asked.steps
                each = [
                    taken
                    for _ in range(asked.repeats)
                    for taken in milliseconds(rule, batch, oracle, steps)
                ]
                least, middle = min(each), median(each)
                budget = BUDGETS.get((rule, k, size)) if asked.side == 112 else None
                against = (f"{budget:g}", f"{budget / least:.2f}") if budget else ("", "")
                times.add_row(rule, str(k), str(size), f"{least:.1f}", f"{middle:.1f}", *against)
            if k == 5:
                for name, (calls, taken) in operations(
                    asked.profile, batch, oracle, asked.steps
                ).items():
                    spent.add_row(str(size), name, str(calls), f"{taken:.2f}")
    console = Console(width=100)
    console.print(times)
    console.print(spent)


if __name__ == "__main__":
    main()
