"""Judging adversarial images of any origin, as a run judges its own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch, Goal, Task
from gauntlet.pipeline.evaluation.threshold_rules import ThresholdRule, ThresholdRules, name_of
from gauntlet.pipeline.library.images import no_tensor, pixels, posed
from gauntlet.pipeline.library.matching import Match, bars
from gauntlet.pipeline.library.networks import Networks, in_training, listed, named
from gauntlet.pipeline.library.thresholds import Pairs
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.results.parquet import rows_of
from gauntlet.pipeline.results.schema import BY_RULE, by_rule, schema_of
from gauntlet.pipeline.run.evaluator import Evaluator
from gauntlet.pipeline.run.plan import Evaluate, TaskSpec
from gauntlet.pipeline.run.plan_models import card_of
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.rows.failures import Failures
from gauntlet.pipeline.run.rows.identity import identity_columns
from gauntlet.pipeline.run.rows.verdicts import verdict_columns
from gauntlet.pipeline.run.showing import ROWS

T = TypeVar("T")
Rules: TypeAlias = str | Mapping[str, float] | Sequence[str | Mapping[str, float]]
"""A rule of thresholds, or several, as a job's `threshold` has them."""


def evaluate(
    targets: Networks,
    images: Tensor,
    labels: Tensor,
    adversarial: Tensor,
    *,
    surrogates: Networks = (),
    attack: str | Attack = "mine",
    goal: Goal | str = Goal.UNTARGETED,
    true_labels: Tensor | None = None,
    ids: Sequence[str] | None = None,
    threshold: float | Mapping[str, float] | None = None,
    pairs: Pairs | None = None,
    rules: Rules = "accuracy",
    match: Match | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what targets say of adversarial images, as a run's `verdicts` table says it.

    The images are judged as they are, whoever made them: neither rounded nor clipped to a budget.

    Args:
        targets: modules, functions of images in [0, 1], models of `gauntlet.adapt`, or names of
            bundled and library networks (``zoo/NAME``, ``timm/NAME``). A mapping names them; in a
            list those without a name are ``target-0``, ... They are left as they are, and judge in
            eval mode: of one that is in training mode a warning says so.
        images: the clean images, (B, 3, H, W), floating point in [0, 1], on any device.
        labels: true classes, int64 (B,); wanted classes for ``targeted``; for ``impersonation`` and
            ``dodging`` the second image of each pair, (B, 3, H, W) in [0, 1].
        adversarial: what became of the images, in their order and shape.
        surrogates: what the images were made with, if that is known: a target of the same weights
            and adapter is marked as a white box.
        attack: what made them: the `Attack`, or a name. With a name the columns that describe an
            attack (``base``, ``rule``, ``norm``, ``epsilon``, ``step_size``) are empty, and the
            result counts as one step.
        goal: ``untargeted``, ``targeted``, ``impersonation`` or ``dodging``.
        true_labels: ``targeted``: the true classes, int64 (B,). Without them nobody can say whether
            a target was right before, and ``clean_correct`` is empty.
        ids: a stable name for each example; its position by default.
        threshold: verification: cosine from which two images are one person's, for all targets or
            by target.
        pairs: verification: pairs to find the thresholds of each target on: first images, second
            images, and whether they show one person, bool (P,).
        rules: verification: how, as a job's `threshold`: ``"accuracy"`` (LFW protocol),
            ``{"far": 0.01}`` (at a false-accept rate), or a list of several. The first is the
            headline, in whose place ``threshold`` stands; each further one adds its columns, such
            as ``success_far_0.01``.
        match: embedding match, without any protocol: the cosine to the second image that counts as
            found. Or ``(rank, images)``: the second image is found where fewer than ``rank`` of the
            images, (G, 3, H, W) in [0, 1], are as near; those equal to it pixel by pixel are not
            counted.
        seed: keys the draws of targets behind a random defence, which judge five times.

    Returns:
        One row an example x target, with the columns of `docs/results.md`; ``unit`` is empty.

    Raises:
        ValueError: when shapes do not fit, pixels are outside [0, 1] or not finite, a target lacks
            a class of the labels or has others than the rest, has no threshold, or gives outputs
            that are not finite; when ``match`` stands beside a threshold, or is none.
        TypeError: when an argument is of another type than above.
    """
    goal, asked = Goal.named(goal), _asked(rules)
    batch = posed(images, labels, goal, ids, true_labels).to("cpu")
    # In the order of memory that a run has: kernels of another order round otherwise.
    batch = replace(batch, images=batch.images.contiguous())
    changed = _changed(adversarial, batch).contiguous()
    targets = listed(targets)  # which are gone through twice
    if asleep := in_training(targets, "target"):
        what = f"in training mode: {', '.join(asleep)}; judged in eval mode, in a copy"
        warnings.warn(what, stacklevel=2)
    judges = named(targets, goal.task, "target")
    if not judges:
        raise ValueError("no targets: nobody to judge the images")
    _refuse_unfit(judges, batch)
    held = _Held({model.name: model for model in judges}, named(surrogates, goal.task, "surrogate"))
    kind = Task.EMBEDDING if match is not None and goal.task.embeds else goal.task
    bench = _OwnBench(
        TaskSpec(kind=kind, goal=goal),
        tuple(_spec(model) for model in judges),
        tuple(
            card.removeprefix("surrogate/") for card in held.cards if card.startswith("surrogate/")
        ),
        seed,
    )
    recipe = attack if isinstance(attack, Attack) else Attack(name=attack, steps=1)
    if unheld := [name for name in recipe.surrogates or () if name not in bench.surrogates]:
        there = ", ".join(bench.surrogates) or "none"
        what = (
            f"the attack was made with the surrogate {unheld[0]!r}, which is not among surrogates="
        )
        raise ValueError(f"{what}; given: {there}")
    if not len(batch):
        return _empty(asked)
    found, gallery = bars(judges, batch, match, threshold, pairs, seed, asked)
    evaluator = Evaluator(bench, held, found, gallery)
    unknown: dict[str, object] = _UNKNOWN if isinstance(attack, str) else {}
    parts = [
        _judged(evaluator, bench, recipe, unknown, batch.rows(rows), changed[rows])
        for rows in torch.split(torch.arange(len(batch)), ROWS)
    ]
    frame = pd.concat(parts, ignore_index=True)
    order = {model.name: place for place, model in enumerate(judges)}
    place = frame["target"].map(order)
    return frame.iloc[place.argsort(kind="stable")].reset_index(drop=True)


_UNKNOWN: dict[str, object] = {
    **dict.fromkeys(("base", "rule", "norm"), ""),
    **dict.fromkeys(("epsilon", "step_size"), float("nan")),
}
"""What is known of an attack that is but a name."""
_AS_THEY_ARE = Evaluate(quantize=False)


@dataclass(frozen=True)
class _OwnBench:
    """The bench of one call."""

    task: TaskSpec
    targets: tuple[ModelSpec, ...]
    surrogates: tuple[str, ...]
    seed: int
    evaluate: Evaluate = _AS_THEY_ARE

    def seed_of(self, attack: Attack) -> int:
        """Return the seed of the call."""
        return self.seed

    def surrogates_of(self, attack: Attack) -> tuple[str, ...]:
        """Return the names of the surrogates that an attack used."""
        return attack.surrogates or self.surrogates


class _Held:
    """The models of one call: the targets, and what is known of the surrogates."""

    def __init__(self, targets: Mapping[str, Model], surrogates: Sequence[Model]) -> None:
        self._targets = targets
        cards = {f"surrogate/{model.name}": card_of(model) for model in surrogates}
        self._cards = cards | {f"target/{name}": card_of(model) for name, model in targets.items()}

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name."""
        return self._cards

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have targets answer a request, one after the other."""
        ready = request.prepared()
        return {name: ready.of(self._targets[name]) for name in models}


def _asked(rules: Rules) -> tuple[ThresholdRule, ...]:
    """Return the rules as a job has them.

    Raises:
        ValueError: when one is none, or is there twice.
    """
    try:
        return TypeAdapter(ThresholdRules).validate_python(rules)
    except ValidationError as error:
        why = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        what = f"rules: expected 'accuracy', {{'far': 0.01}}, or a list, got {rules!r} ({why})"
        raise ValueError(what) from None


def _empty(rules: Sequence[ThresholdRule]) -> pd.DataFrame:
    """Return the verdicts on no image: every column, and no row."""
    further = [by_rule(BY_RULE[0], name_of(rule)) for rule in rules[1:]]
    frame: pd.DataFrame = schema_of("verdicts", further).empty_table().to_pandas()
    return frame


def _spec(model: Model) -> ModelSpec:
    """Return what a job would say of a model; of a person's own, its class."""
    if model.spec is not None:
        return model.spec.model_copy(update={"name": model.name})
    return ModelSpec(name=model.name, source=type(model.network).__name__)


def _changed(adversarial: Tensor, batch: Batch) -> Tensor:
    """Return the adversarial images on the CPU, once they are known to fit the clean ones."""
    if not isinstance(adversarial, Tensor):
        raise TypeError(no_tensor("adversarial", "a tensor (B, 3, H, W)", adversarial))
    if adversarial.shape != batch.images.shape:
        shapes = f"{tuple(adversarial.shape)}, the images {tuple(batch.images.shape)}"
        raise ValueError(f"adversarial has shape {shapes}: one result an image is needed")
    if not adversarial.is_floating_point():
        what = f"adversarial must be floating point in [0, 1], got {adversarial.dtype}"
        raise ValueError(what)
    return pixels("adversarial", adversarial).to("cpu", batch.images.dtype)


def _refuse_unfit(targets: Sequence[Model], batch: Batch) -> None:
    """Refuse targets of another task, and classes that differ, before all are asked."""
    widths: dict[int, str] = {}
    for model in targets:
        if model.task.embeds is not batch.goal.task.embeds:
            what = f"target {model.name!r} is a {model.task.value} model"
            raise ValueError(f"{what}; the goal {batch.goal.value!r} wants {batch.goal.task.value}")
        if batch.goal.task is Task.CLASSIFICATION and len(batch) and not model.randomised:
            try:
                with torch.inference_mode():
                    outputs = model(batch.images[:1].to(model.device, model.dtype))
            except RuntimeError as error:  # of torch, whose operations do not fit each other
                shape, why = tuple(batch.images.shape[1:]), str(error).partition("\n")[0]
                what = f"target {model.name!r} cannot judge images of shape {shape}: {why}"
                raise ValueError(what) from error
            batch.check_classes(outputs.shape[1], model.name)
            widths.setdefault(outputs.shape[1], model.name)
    if len(widths) > 1:
        each = ", ".join(f"{name!r} has {width}" for width, name in widths.items())
        raise ValueError(f"targets must have the same classes, in one order: {each}")


def _judged(
    evaluator: Evaluator,
    bench: _OwnBench,
    attack: Attack,
    unknown: dict[str, object],
    batch: Batch,
    images: Tensor,
) -> pd.DataFrame:
    """Return the verdicts on some of the images."""
    clean, every, failures = evaluator.clean(batch), np.arange(len(batch)), Failures()
    identity = identity_columns(bench, attack, list(batch.ids)) | unknown
    last = evaluator.last(attack, batch, images, clean, every)
    columns = verdict_columns(evaluator, attack, identity, [last], clean, every, failures)
    if reasons := failures.columns():
        first = f"example {reasons['example'][0]!r}: {reasons['reason'][0]}"
        raise ValueError(f"{len(reasons['reason'])} verdicts cannot be given; the first, {first}")
    frame: pd.DataFrame = rows_of("verdicts", "", columns).to_pandas()
    return frame
