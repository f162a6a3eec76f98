"""What no single field of a job can know: whether its parts fit each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gauntlet.jobs.spec.draft import Draft
from gauntlet.jobs.spec.findings import Findings
from gauntlet.jobs.spec.models import Listed
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.data.spec import DataSpec
from gauntlet.pipeline.files import expanded, obstacle
from gauntlet.pipeline.interactions.utilities import resolve
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.models.spec import ModelSpec
from gauntlet.pipeline.problems import Problem, suggest
from gauntlet.pipeline.run.plan import Evaluate, Resources, Select, TaskSpec

MOST_NETWORKS = 200
"""Different networks of a job; each is made once to be checked."""
_TARGETS_ONLY = ("group", "repeats", "white_box")


def check_task(task: TaskSpec, findings: Findings) -> bool:
    """Report a goal that belongs to another task; return whether it fits."""
    if task.goal.task is task.kind:
        return True
    goals = " or ".join(repr(goal.value) for goal in Goal if goal.task is task.kind)
    findings.add(
        ("task", "goal"), f"{task.goal.value!r} is no goal of {task.kind.value}; expected {goals}"
    )
    return False


def check_model_fields(models: Sequence[Listed], task: Task | None, findings: Findings) -> None:
    """Report fields that would be read by nobody in a model's role or task."""
    for model in models:
        given = model.draft.fields
        for field in _TARGETS_ONLY:
            if model.role == "surrogates" and field in given:
                findings.add(
                    model.draft.locate((field,)), f"`{field}` belongs to targets, not to surrogates"
                )
        if task is Task.CLASSIFICATION and "threshold" in given:
            findings.add(
                model.draft.locate(("threshold",)),
                "`threshold` belongs to verification; this task is classification",
            )
        defence = model.spec.defence if model.spec is not None else None
        if defence is not None:
            known = type(defence).model_fields.keys()
            for field in sorted(given["defence"].keys() - known):
                findings.add(
                    model.draft.locate(("defence", field)),
                    f"{defence.kind} does not use `{field}`; known: {', '.join(sorted(known))}",
                )


def check_models(
    models: Sequence[Listed],
    root: Path,
    task: Task | None,
    findings: Findings,
    permission: Permission,
) -> None:
    """Report what is wrong with each model by itself; networks that several share are made once."""
    known: dict[str, list[Problem]] = {}
    for model in models:
        if model.spec is None:
            continue
        if len(known) > MOST_NETWORKS:
            what = f"more than {MOST_NETWORKS} different networks; make several jobs of this one"
            findings.add(model.draft.home, what)
            return
        wrong = build.check(model.spec, root, task, permission, known)
        findings.add_nested(model.draft.locate, wrong)


def check_white_box(models: Sequence[Listed], root: Path, findings: Findings) -> None:
    """Report targets that are surrogates without saying so, and those that wrongly say so.

    Two models are the same when their weights are and they stand behind the same defence. Weights
    of ``file:`` and ``trained:`` sources are compared by content, others by source, architecture
    and options.
    """
    digests: dict[Path, str] = {}
    sound = [
        (model, model.spec, _weights(model.spec, root, digests))
        for model in models
        if model.spec is not None
    ]
    # The first surrogate with some weights behind each defence.
    surrogates: dict[str, dict[str, str]] = {}
    for model, spec, weights in sound:
        if model.role == "surrogates":
            surrogates.setdefault(weights, {}).setdefault(repr(spec.defence), model.name)
    all_sound = all(model.spec is not None for model in models if model.role == "surrogates")
    for target, spec, weights in sound:
        if target.role != "targets":
            continue
        alike = surrogates.get(weights, {})
        if spec.white_box and not alike and all_sound:
            findings.add(
                target.draft.locate(("white_box",)),
                f"{target.name!r} has the weights of no surrogate; remove `white_box: true`",
            )
        same = alike.get(repr(spec.defence))
        if same is not None and not spec.white_box:
            findings.add(
                target.draft.home,
                f"{target.name!r} is the same model as the surrogate {same!r}; add "
                "`white_box: true` if that is meant, or choose another target",
            )


def _weights(spec: ModelSpec, root: Path, digests: dict[Path, str]) -> str:
    """Return a key that two specs share when they name the same weights.

    Args:
        spec: the model.
        root: folder that its path starts from.
        digests: of files read before; a file's own is put there.
    """
    scheme, _, rest = spec.source.partition(":")
    path = root / expanded(rest)
    if scheme in ("file", "trained") and obstacle(path) is None:
        try:
            if path not in digests:
                with path.open("rb") as stream:
                    digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
            return json.dumps([digests[path], spec.key])
        except OSError:
            pass  # a file that cannot be read is reported by its own check
    return json.dumps([spec.source, spec.architecture, spec.options], sort_keys=True)


def check_select(select: Select, models: Sequence[Listed], findings: Findings) -> None:
    """Report names in `select.correct` that no model has."""
    if select.correct is None or isinstance(select.correct, str):
        return
    names = sorted(model.name for model in models)
    known = set(names)
    if not select.correct:
        findings.add(("select", "correct"), f"expected names of models: {', '.join(names)}")
    for position, name in enumerate(select.correct):
        if name not in known:
            findings.add(("select", "correct", position), suggest(name, names, "model"))


def check_attacks(
    attacks: Sequence[tuple[Attack, Draft]],
    models: Sequence[Listed],
    task: TaskSpec | None,
    findings: Findings,
) -> None:
    """Report attacks that do not exist for the goal, and surrogates that do not exist.

    Args:
        attacks: the sound attacks.
        models: all models; empty when the list of surrogates is itself wrong.
        task: None when it is itself wrong.
        findings: collects the problems.
    """
    surrogates = sorted(model.name for model in models if model.role == "surrogates")
    for attack, draft in attacks:
        names = attack.surrogates or ()
        for position, name in enumerate(names):
            place = draft.locate(("surrogates", position))
            if surrogates and name not in surrogates:
                findings.add(place, suggest(name, surrogates, "surrogate"))
            elif name in names[:position]:
                findings.add(place, f"{name!r} is named twice")
        if task is not None:
            _check_goal(attack, draft, task.goal, findings)


def check_references(
    attacks: Sequence[tuple[Attack, Draft]], data: DataSpec, goal: Goal, findings: Findings
) -> None:
    """Report targeted attacks that need images of the wanted classes, which the data don't give."""
    if goal is not Goal.TARGETED or data.has_references:
        return
    what = "needs an image of each wanted class: set `data.references: gallery`"
    for attack, draft in attacks:
        for part in attack.parts:
            if part.needs_references(goal):
                findings.add(draft.locate(("objective",)), f"{part.token!r} {what}")


def check_precision(
    resources: Resources,
    evaluate: Evaluate,
    attacks: Sequence[tuple[Attack, Draft]],
    findings: Findings,
) -> None:
    """Report what differentiates a surrogate twice while the surrogates are in float16."""
    if resources.dtype != "float16":
        return
    what = "differentiates a surrogate twice, which underflows in float16; use bfloat16 or float32"
    for attack, draft in attacks:
        if any(part.twice for part in attack.parts):
            findings.add(draft.locate(("base",)), f"{attack.base!r} {what}")
    if evaluate.interactions is not None and evaluate.interactions.closed_form:
        findings.add(("evaluate", "interactions", "closed_form"), what)


def check_evaluate(
    evaluate: Evaluate,
    attacks: Sequence[tuple[Attack, Draft]],
    models: Sequence[Listed],
    task: TaskSpec | None,
    findings: Findings,
) -> None:
    """Report steps that no attack has, and interactions that cannot be measured.

    Args:
        evaluate: what is to be evaluated.
        attacks: the sound attacks.
        models: all models.
        task: None when it is itself wrong.
        findings: collects the problems.
    """
    longest = max((attack.steps for attack, _ in attacks), default=None)
    if not isinstance(evaluate.steps, str) and longest is not None:
        beyond = [str(step) for step in evaluate.steps if step > longest]
        if beyond:
            what = f"no attack has update {', '.join(beyond)}: the longest has {longest}"
            findings.add(("evaluate", "steps"), what)
    spec = evaluate.interactions
    if spec is None:
        return
    if task is not None:
        try:
            utility = resolve(spec.utility, task.goal)
            if spec.closed_form and utility != "loss":
                findings.add(
                    ("evaluate", "interactions", "closed_form"),
                    f"is the curvature of the loss; goal {task.goal.value!r} has utility "
                    f"{utility!r}",
                )
        except ValueError as error:
            findings.add(("evaluate", "interactions", "utility"), str(error))
    for model in models:
        defence = model.spec.defence if model.spec is not None else None
        if model.role == "surrogates" and defence is not None and defence.randomised:
            findings.add(
                model.draft.locate(("defence",)),
                f"{model.name!r} answers at random; interactions need the same answer to the same "
                "image",
            )


def _check_goal(attack: Attack, draft: Draft, goal: Goal, findings: Findings) -> None:
    if complaint := attack.objection(goal):
        field = "objective" if attack.objective is not None and _fits(attack, goal) else "combine"
        findings.add(draft.locate((field,)), complaint)


def _fits(attack: Attack, goal: Goal) -> bool:
    """Whether the attack with the goal's own objective exists."""
    try:
        fields = attack.model_dump() | {"objective": None}
        fields["options"] = {k: v for k, v in attack.options.items() if k != attack.objective}
        return Attack.model_validate(fields).objection(goal) is None
    except ValueError:
        return False


def by_role(models: Sequence[Listed]) -> Mapping[str, tuple[ModelSpec, ...]]:
    """Return the sound models of each role."""
    return {
        role: tuple(m.spec for m in models if m.role == role and m.spec is not None)
        for role in ("surrogates", "targets")
    }
