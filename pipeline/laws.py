"""The laws that every part keeps, and asking a part whether it does: ``gauntlet methods --verify``.

What an attack makes of an example may depend on nothing but the example and its key: not on the
batch that it travels in, its place there, the process, or what was drawn before. Runs are taken up,
spread and verified because of that. A part is asked on eight small images and three small networks,
by itself and within an attack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.combine.rule import GradientRule, Rule
from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.loop import BudgetViolation, run
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.own_parts import place_in
from gauntlet.pipeline.attacks.part import Part, Place, place_of
from gauntlet.pipeline.attacks.points.point import Iteration, QueryPoint
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.starts.start import Start
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.attacks.updates.update import Update
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.model import adapt
from gauntlet.pipeline.oracle.in_process import InProcessOracle

EXAMPLES, MODELS, CLASSES, SIDE = 8, 3, 4, 16
_SHARE = 0.02
"""Entries that may differ where rounding alone does: steps follow the sign of a gradient."""


@dataclass(frozen=True)
class Fault:
    """A law that a part breaks.

    Attributes:
        law: in a few words.
        what: what was seen.
        place: ``file:line`` of the class, or of the line that failed.
    """

    law: str
    what: str
    place: str


class _Broken(Exception):
    """What a part returned is not what its place asks for."""


Found = Mapping[str, Tensor]
"""What a part makes of some examples, one row each, by what it is."""


def first_fault(part: Part) -> Fault | None:
    """Return the first law that a part breaks; None when it keeps all."""
    law, here = "shapes, and finite", place_of(type(part))
    with torch.random.fork_rng(devices=[]):
        try:
            whole = _made(part, _EVERYONE)
            for law, ask in LAWS.items():
                if what := ask(part, whole):
                    return Fault(law, what, here)
        except BudgetViolation as error:
            return Fault("stays in the ball", str(error), here)
        except _Broken as error:
            return Fault(law, str(error), here)
        except Exception as error:  # whatever a person's code raises
            file = here.rpartition(":")[0]
            place = place_in(error, file)
            found = f"{type(error).__name__}: {error}"
            return Fault(law, found, here if place == file else place)
    return None


def attacks_with(part: type[Part]) -> list[dict[str, Any]]:
    """Return attacks that use a part, the simplest first, as fields; not all need be possible."""
    token = part.token
    if part.place is Place.COMBINE:
        return [{"base": "mi", "combine": rule} for rule in (token, f"{token}/imtlg")]
    if part.place is Place.OBJECTIVE:
        return [{"base": base, "objective": token} for base in ("mi", "pgd-mi")]
    alone = part.place in (Place.UPDATE, Place.START)
    simple = {"base": token if alone else f"{token}-mi"}
    return [simple, {"base": f"pgd-{token}"}, {"base": token, "norm": "l2"}]


def _repeats(part: Part, whole: Found) -> str:
    again = _made(part, _EVERYONE)  # torch's own generator has gone on, if that was asked
    differing = [name for name in whole if not torch.equal(*_numbers(whole[name], again[name]))]
    if not differing:
        return ""
    return (
        f"{differing[0]} is another one when it is asked again: random numbers come from `draws`, "
        "which are keyed, never from torch's own generator"
    )


def _permutes(part: Part, whole: Found) -> str:
    order = [3, 7, 0, 5, 1, 6, 2, 4]
    return _differs(_made(part, order), whole, order, "in another order")


def _alone(part: Part, whole: Found) -> str:
    return _differs(_made(part, [5]), whole, [5], "alone")


def _silent(part: Part, whole: Found) -> str:
    """Ask with surrogates that do not look at the image: every gradient is zero."""
    _made(part, _EVERYONE, silent=True)
    return ""


LAWS: dict[str, Callable[[Part, Found], str]] = {
    "the same for the same key": _repeats,
    "permuting the batch permutes the results": _permutes,
    "batch 1 equals batch 8": _alone,
    "finite on a zero gradient": _silent,
}
"""Each with the question that finds what is wrong. That results have their shape, are finite and
stay in the ball is asked with each of them."""
_EVERYONE = range(EXAMPLES)


def _differs(some: Found, whole: Found, rows: Sequence[int], how: str) -> str:
    """Return which result of an example depends on the others of its batch, in words."""
    for name, found in some.items():
        one, other = _numbers(found, whole[name][rows])
        scale = float(other.abs().mean()) + 1e-12
        share = float(((one - other).abs() > 1e-3 * scale).double().mean())
        if share > _SHARE:
            return (
                f"{name} of an example is another one {how}: it depends on the other examples of "
                "the batch; reduce over every dimension but the first"
            )
    return ""


def _numbers(*tensors: Tensor) -> tuple[Tensor, Tensor]:
    one, other = (torch.nan_to_num(tensor.double()) for tensor in tensors)
    return one, other


# -- asking ----------------------------------------------------------------------------------------


class _Net(nn.Module):
    """A small network with what surgeries look for: rectifiers and a residual sum."""

    def __init__(self, seed: int, silent: bool) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem, self.branch = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.relu, self.linear = nn.ReLU(), nn.Linear(8 * 16, CLASSES)
            self.pool = nn.AvgPool2d(SIDE // 4)
        if silent:
            nn.init.zeros_(self.linear.weight)

    def forward(self, images: Tensor) -> Tensor:
        features = self.relu(self.stem(images))
        features = self.relu(features + self.branch(features))
        outputs: Tensor = 8 * self.linear(self.pool(features).flatten(1))
        return outputs


@cache
def _oracle(task: Task, silent: bool) -> InProcessOracle:
    nets = [adapt(_Net(seed, silent), name=f"net-{seed}", task=task) for seed in range(MODELS)]
    return InProcessOracle(nets)


def _batch(goal: Goal, rows: Sequence[int]) -> Batch:
    ids = tuple(f"example-{row}" for row in range(EXAMPLES))
    draws = Draws.keyed(0, ids)
    images, others = (
        draws.integers(name, 40, 216, (3, SIDE, SIDE)).float() / 255
        for name in ("images", "others")
    )
    classes = torch.arange(EXAMPLES) % CLASSES
    asked = {Goal.UNTARGETED: {"labels": classes}, Goal.TARGETED: {"wanted": classes}}
    needs: dict[str, Tensor] = asked.get(goal, {})
    batch = Batch(ids, images, goal, references=others, guide=0.9 * images + 0.1 * others, **needs)
    return batch.rows(torch.tensor([*rows]))


def _recipe(part: Part) -> tuple[Attack, Goal]:
    """Return an attack with a part, and a goal that it exists for."""
    goals = (Goal.UNTARGETED, Goal.TARGETED, Goal.IMPERSONATION)
    for fields in attacks_with(type(part)):
        for goal in goals:
            try:
                found = Attack.model_validate({**fields, "steps": 3, "options": {part.token: part}})
                found.objective_for(goal)
            except (ValidationError, ValueError) as error:
                refused = error
            else:
                return found, goal
    raise refused


def _attacked(attack: Attack, batch: Batch, silent: bool) -> Tensor:
    oracle = _oracle(batch.goal.task, silent)
    found = run(attack, batch, oracle, quantize=False)
    unsound = (lost for lost in found.lost.values() if "finite" in lost.reason)
    if (lost := next(unsound, None)) is not None:
        raise _Broken(f"step {lost.step}: {lost.reason}")
    return found.images


def _made(part: Part, rows: Sequence[int], silent: bool = False) -> Found:
    """Return all that a part makes of some of the examples, checked.

    Raises:
        _Broken: when something has not the shape that its place asks for, or is not finite.
    """
    attack, goal = _recipe(part)
    batch = _batch(goal, rows)
    oracle = _oracle(batch.goal.task, silent)
    method = attack.method(batch.goal, batch.images[0].numel())
    step = Step(method.ball, batch.images, method.step_size, method.normalise)
    ask = Ask(oracle, range(MODELS), Setting(batch, method.query, 0, attack.label, 1))
    points, of_models = batch.images, (len(rows), MODELS)
    draws = ask.draws("law")
    found: dict[str, tuple[Any, Sequence[int]]] = {}
    match part:
        case View():
            seen = part.apply(points, (0,), draws)
            same = (
                isinstance(seen, Tensor) and seen.ndim == 4 and seen.shape[:2] == points.shape[:2]
            )
            found["the view"] = seen, (tuple(seen.shape) if same else points.shape)
        case Filter():
            found["the gradient"] = part.apply(points - 0.5), points.shape
        case GradientRule():
            flat = [gradient.flatten(1) for gradient in ask(points).gradients]
            made = part.combine(flat)
            if not isinstance(made, tuple) or len(made) != 3:
                raise _Broken("combine returns (direction, weights, fallback or None), a tuple")
            found["the direction"] = made[0], flat[0].shape
            found["the weights"] = made[1], of_models
        case Rule():
            told = part.direction(points, ask, step)
            found["the direction"] = told.direction, points.shape
            found["the weights"] = told.weights, of_models
        case QueryPoint():
            iteration = Iteration(1, 3, step, ask, method.plain, method.rule)
            found["the point"] = part.move(points, iteration), points.shape
        case Start():
            begun = part.point(points, method.ball, draws)
            found["the start"] = begun, points.shape
            _check(found)
            if not torch.allclose(method.ball.project(begun, points), begun, atol=1e-6):
                raise BudgetViolation(
                    "the start lies outside the ball: `ball.project` brings it back"
                )
        case Update():
            direction = ask(points).gradients[0]
            moved, memory = part.advance(points, direction, None, step)
            found["the next point"] = moved, points.shape
            if memory is not None:
                found["the memory"] = memory, memory.shape
            _check(found)
            found["the point after"] = part.advance(moved, direction, memory, step)[0], points.shape
    checked = _check(found)
    answer = oracle.gradients(ask.setting, [Question(0, points)])[0]
    answered = {
        "the objective": (answer.values, (len(rows),)),
        "the gradient of a surrogate": (answer.gradient, points.shape),
    }
    checked |= _check(answered)
    return checked | {"the attacked image": _attacked(attack, batch, silent)}


def _check(found: Mapping[str, tuple[Any, Sequence[int]]]) -> dict[str, Tensor]:
    for name, (made, shape) in found.items():
        if not isinstance(made, Tensor):
            raise _Broken(f"{name} is no tensor but {type(made).__name__}")
        if tuple(made.shape) != tuple(shape):
            raise _Broken(f"{name} has shape {tuple(made.shape)}, expected {tuple(shape)}")
        if name != "the weights" and not bool(torch.isfinite(made).all()):
            raise _Broken(f"{name} is not finite")
    return {name: made for name, (made, _) in found.items()}
