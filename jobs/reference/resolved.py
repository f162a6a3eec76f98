"""What a job comes to when every default and choice is filled in: `gauntlet check`."""

from __future__ import annotations

from gauntlet.jobs.reports.grid import Column, figures, texts
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.data.class_names import disagreements
from gauntlet.pipeline.data.described import described
from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.data.gallery_images import open_gallery
from gauntlet.pipeline.evaluation.threshold_rules import ALONE
from gauntlet.pipeline.models.build import describe, downloads
from gauntlet.pipeline.models.sources.permission import Permission
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.probe.classes import class_problems

_COLUMNS = (
    Column("attack", 14),
    *texts("surrogates", "objective", "normalise"),
    Column("budget /255", 7),
    *figures("steps", "step size /255"),
    Column("random start"),
)


def print_plan(plan: Plan, permission: Permission, console: Terminal) -> None:
    """Print a plan's attacks with their budgets, models with their preprocessing, and data.

    Raises:
        BadInput: when the examples have classes that a model is known to lack.
    """
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    specs = (*plan.surrogates, *plan.targets)
    models = {spec.name: describe(spec, plan.root, permission) for spec in specs}
    classes = {name: model.classes for name, model in models.items() if model.classes is not None}
    if found := class_problems(examples, classes, plan.data):
        raise BadInput(found)
    console.print(f"{plan.name}: {plan.task.kind.value}, {plan.task.goal.value}")
    rows = [_row(plan, attack) for attack in plan.attacks if attack.seed is None]
    print_table(console, "attacks", _COLUMNS, rows)
    for line in seed_words(plan):
        console.print(line, soft_wrap=True)
    for source in plan.parts:
        tokens = ", ".join(part.token for part in source.load())
        text = f"parts of your own: {tokens} ({source.path}, sha256 {source.digest[:12]})"
        console.print(text, soft_wrap=True)
    for role, listed in (("surrogates", plan.surrogates), ("targets", plan.targets)):
        console.print(role, style="italic")
        for spec in listed:
            console.print(f"  {models[spec.name]}", soft_wrap=True)
    console.print()
    for line in _data(plan, examples):
        console.print(line, soft_wrap=True)
    named = {name: model.class_names for name, model in models.items()}
    for line in disagreements(examples.listing.class_names, named):
        console.print(line, soft_wrap=True)


def seed_words(plan: Plan) -> list[str]:
    """Return what several seeds mean for the attacks of a plan; nothing of one seed."""
    if len(plan.seeds) == 1:
        return []
    again = {attack.label for attack in plan.attacks if attack.seed is not None}
    once = [attack.label for attack in plan.attacks if attack.label not in again]
    are = "attack is" if len(again) == 1 else "attacks are"
    text = f"seeds {', '.join(map(str, plan.seeds))}: {len(again)} {are} made under each"
    if once:
        text += f"; drawing nothing, once: {', '.join(once)}"
    return [text, ""]


def _row(plan: Plan, attack: Attack) -> list[str]:
    row = attack.summary()
    unit = f" {row['epsilon_unit']}" if row["norm"] == "l2" else ""
    return [
        str(row["attack"]),
        str(row["surrogates"]),
        attack.objective_for(plan.task.goal).token,
        str(row["normalise"]),
        f"{row['norm']}{unit} {255 * attack.epsilon:.4g}",
        str(row["steps"]),
        f"{255 * attack.alpha:.4g}",
        "yes" if row["random_start"] else "no",
    ]


def _data(plan: Plan, examples: Examples) -> list[str]:
    first, *others = described(examples, plan.data.source)
    text = f"data: {first}"
    if plan.select.correct is not None:
        names = plan.select.correct
        who = names if isinstance(names, str) else ", ".join(names)
        text += f"; those that {who} get right are attacked"
    if plan.select.limit is not None:
        text += f"; at most {plan.select.limit:,}"
    units = -(-min(len(examples), plan.select.limit or len(examples)) // plan.resources.batch)
    work = units * len(plan.attacks)
    text += f"; at most {work:,} unit{'' if work == 1 else 's'} of work"
    lines = [text, *(f"data: {line}" for line in others)]
    return [*lines, *_calibration(plan), *_success(plan, examples)]


def _calibration(plan: Plan) -> list[str]:
    """Return how thresholds are found, where the job says it."""
    if plan.calibrate is None and plan.threshold == ALONE:
        return []
    rule = " and ".join(
        "best accuracy" if rule == "accuracy" else str(rule) for rule in plan.threshold
    )
    if plan.calibrate is None:
        return [f"thresholds: {rule}"]
    source, goal = plan.calibrate, plan.task.goal
    first, *_ = described(
        open_examples(source, goal, root=plan.root, seed=plan.seed), source.source
    )
    return [f"thresholds: {rule}, on pairs of their own: {first}"]


def _success(plan: Plan, examples: Examples) -> list[str]:
    """Return what success on embeddings is, where the job says it."""
    if plan.success is None:
        return []
    if (gallery := plan.success.gallery) is None:
        return [f"success: {plan.success}"]
    found = open_gallery(gallery, examples, root=plan.root, seed=plan.seed)
    victims = f"{len(found.victims):,} of {len(examples):,} examples have their victim among them"
    return [f"success: {plan.success} of {len(found):,} images from {gallery.source}; {victims}"]


def print_place(plan: Plan, where: str, folder: str, console: Terminal) -> None:
    """Print where a run would work and write, and what only running can tell.

    Args:
        plan: what would be run.
        where: the placement in words, as far as it is known.
        folder: where its results would go.
        console: where to.
    """
    unknown = []
    if any(downloads(spec) for spec in (*plan.surrogates, *plan.targets)):
        unknown.append("whether weights that are not here yet can be downloaded")
    if plan.select.correct is not None:
        unknown.append("how many examples are left to attack")
    if "://" in folder:
        unknown.append(f"whether {folder} can be written to")
    lines = [where, f"results: in {folder}"]
    if unknown:
        lines.append(f"only running tells: {', '.join(unknown)}")
    for line in lines:
        console.print(line, soft_wrap=True)
