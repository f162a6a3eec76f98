"""The one loop (architecture 2): ask, combine, step, project."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Ask, Lost, Oracle
from gauntlet.pipeline.attacks.combine.rule import Direction
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.method import Method
from gauntlet.pipeline.attacks.points.point import Iteration
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.norms import by_rows, l2, linf


@dataclass(frozen=True)
class Trace:
    """What happened at each update; T steps, B examples, k surrogates.

    Attributes:
        values: objective of each surrogate *before* the update, (T, B, k).
        weights: weights that the rule gave the surrogates, (T, B, k); NaN where it has none.
        linf: size of the perturbation after the update, [0, 1] units, (T, B).
        l2rms: root mean square of the perturbation after the update, [0, 1] units, (T, B).
        fallback: whether the rule fell back to another one, bool (T, B).
        silent: whether the combined gradient was zero in every entry, bool (T, B).
    """

    values: Tensor
    weights: Tensor
    linf: Tensor
    l2rms: Tensor
    fallback: Tensor
    silent: Tensor

    def rows(self, rows: Tensor) -> Trace:
        """Return the record of some of the examples, int64 (R,)."""
        return Trace(*(getattr(self, part.name)[:, rows] for part in fields(self)))


@dataclass(frozen=True)
class Attacked:
    """The result of one attack on one batch.

    Attributes:
        images: adversarial images, (B, 3, H, W) in [0, 1]; the clean image of a lost example.
        trace: per-step record.
        lost: examples that could not be attacked, by row.
    """

    images: Tensor
    trace: Trace
    lost: dict[int, Lost]


class BudgetViolation(RuntimeError):
    """An adversarial image left its budget or range: a defect of Gauntlet, not of the input."""


def run(
    attack: Attack,
    batch: Batch,
    oracle: Oracle,
    *,
    seed: int = 0,
    quantize: bool = True,
    begin: Tensor | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Attacked:
    """Attack a batch.

    Args:
        attack: what to do.
        batch: the examples; their images are the centres of the balls.
        oracle: answers for the surrogates.
        seed: keys every random draw, together with example, attack, step and model.
        quantize: round the result to 8 bits, inside the ball.
        begin: first points, inside the balls, (B, 3, H, W); by default those of the attack's start.
        on_step: called after every update with t in 1..T and the iterate (B, 3, H, W).

    Raises:
        ValueError: when the attack is not one of parts, does not exist for the batch's goal, or
            names a surrogate that the oracle does not have.
        BudgetViolation: when the result is outside its budget.
    """
    if attack.foreign is not None:
        raise ValueError(f"attack {attack.label!r} is foreign: the loop has no parts of it to run")
    clean = batch.images
    method = attack.method(batch.goal, clean[0].numel() if len(batch) else 1)
    models = _positions(attack, oracle.models)
    if not len(batch):
        return Attacked(clean, _blank(method.steps, 0, len(models)), {})
    step = Step(method.ball, clean, method.step_size, method.normalise)
    lost: dict[int, Lost] = {}
    if (fields := method.query.objective.guide()) is not None:
        guiding = run(attack.guide(fields), batch, oracle, seed=seed, quantize=False)
        batch, lost = replace(batch, guide=guiding.images), guiding.lost
    setting = Setting(batch, method.query, seed, method.label, step=0)
    ask = Ask(oracle, models, setting)
    ask.lost.update(lost)
    if method.start is None and begin is None and method.steps:
        ask.lost.update(_without_gradient(method, batch))
    points = _start(method, batch, seed) if begin is None else begin
    memory: Tensor | None = None
    steps = _Recorder(clean, ask.models)
    for t in range(method.steps):
        ask.at_step(t)
        asked = method.update.query_point(points, memory, step)
        for part in method.points:
            iteration = Iteration(t, method.steps, step, ask, method.plain, method.rule)
            asked = part.move(asked, iteration)
        found = method.rule.direction(asked, ask, step)
        points, memory = method.update.advance(points, found.direction, memory, step)
        steps.record(found, points)
        if on_step is not None:
            on_step(t + 1, points)
    unreached = method.update.unreached(points, step)
    if unreached is not None:
        for row in unreached.nonzero()[:, 0].tolist():
            reason = "not reached: the perturbation is still below the wanted norm"
            ask.lost.setdefault(row, Lost(batch.ids[row], method.steps, "all", reason))
    if ask.lost:
        rows = torch.tensor(sorted(ask.lost), device=clean.device)
        points = points.index_copy(0, rows, clean[rows])
    if quantize:
        points = method.ball.quantize(points, clean)
    _verify(points, batch, method, quantize)
    return Attacked(points, steps.trace(), ask.lost)


def _positions(attack: Attack, models: Sequence[str]) -> list[int]:
    if attack.surrogates is None:
        return list(range(len(models)))
    missing = [name for name in attack.surrogates if name not in models]
    if missing:
        raise ValueError(
            f"attack {attack.label!r} names {', '.join(map(repr, missing))}, which is not among "
            f"the surrogates: {', '.join(models)}"
        )
    return [list(models).index(name) for name in attack.surrogates]


def _start(method: Method, batch: Batch, seed: int) -> Tensor:
    if method.start is None:
        return batch.images
    draws = Draws.keyed(seed, batch.ids, attack=method.label, step=-1)
    return method.start.point(batch.images, method.ball, draws)


def _without_gradient(method: Method, batch: Batch) -> dict[int, Lost]:
    """Return the examples whose first step would follow rounding noise all the way, by row."""
    stationary = method.query.objective.stationary(batch)
    if stationary is None:
        return {}
    reason = (
        f"{method.query.objective.token} has no gradient where the image is its own reference: "
        "start at random, with pgd in the base"
    )
    rows = stationary.nonzero()[:, 0].tolist()
    return {row: Lost(batch.ids[row], 0, "all", reason) for row in rows}


def _verify(points: Tensor, batch: Batch, method: Method, quantized: bool) -> None:
    """Check range, finiteness and budget: the caller checks, an attack only computes."""
    if not len(batch):
        return
    delta = (points.double() - batch.images.double()).flatten(1)
    size = delta.abs().amax(1) if method.ball.norm == "linf" else delta.square().sum(1).sqrt()
    # Off the 8-bit grid the clean image itself may be half a level from its nearest level.
    grid = ((batch.images.double() * 255).round() / 255 - batch.images.double()).flatten(1)
    off = grid.abs().amax(1) if method.ball.norm == "linf" else grid.square().sum(1).sqrt()
    allowed = method.ball.epsilon * (1 + 1e-5) + 1e-6 + (off if quantized else 0.0)
    flat = points.flatten(1)
    bad = ~(torch.isfinite(size) & (size <= allowed) & (flat.amin(1) >= 0) & (flat.amax(1) <= 1))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise BudgetViolation(
            f"attack {method.label!r}, example {batch.ids[row]!r}: the {method.ball.norm} distance "
            f"is {float(size[row]):.6g} for a budget of {method.ball.epsilon:.6g}, pixels in "
            f"[{float(flat[row].min()):.4g}, {float(flat[row].max()):.4g}]"
        )


def _blank(steps: int, examples: int, models: int) -> Trace:
    """Return the trace of no step, or of no example."""
    of_models, of_all = torch.zeros(steps, examples, models), torch.zeros(steps, examples)
    return Trace(of_models, of_models, of_all, of_all, of_all > 0, of_all > 0)


class _Recorder:
    def __init__(self, clean: Tensor, models: int) -> None:
        self._clean, self._models = clean, models
        self._rows: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]] = []

    def record(self, found: Direction, points: Tensor) -> None:
        largest, rms = by_rows(_sizes, points, self._clean).unbind(1)
        none = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        fell = none if found.fallback is None else found.fallback
        silent = by_rows(linf, found.direction) == 0
        self._rows.append((found.values, found.weights, largest, rms, fell, silent))

    def trace(self) -> Trace:
        if not self._rows:
            return _blank(0, len(self._clean), self._models)
        return Trace(*(torch.stack(column).cpu() for column in zip(*self._rows, strict=True)))


def _sizes(points: Tensor, clean: Tensor) -> Tensor:
    """Return the largest entry and the root mean square of the perturbations, (B, 2)."""
    delta = points - clean
    return torch.stack([linf(delta), l2(delta) / delta[0].numel() ** 0.5], 1)
