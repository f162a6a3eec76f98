"""What a job comes to when every default and choice is filled in: `gauntlet check`."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.data.described import described
from pipeline.data.examples import open_examples
from pipeline.models import build
from pipeline.run.plan import Plan


def print_plan(plan: Plan, console: Console) -> None:
    """Print a plan's attacks with their budgets, models with their preprocessing, and data."""
    console.print(f"{plan.name}: {plan.task.kind.value}, {plan.task.goal.value}", highlight=False)
    console.print(_attacks(plan))
    _print_models(plan, console)
    console.print()
    for line in _data(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _attacks(plan: Plan) -> Table:
    table = Table(title="attacks", title_justify="left", box=SIMPLE, pad_edge=False)
    table.add_column("attack", no_wrap=True)
    for heading in ("surrogates", "objective", "normalise"):
        table.add_column(heading, overflow="fold")
    for heading in ("budget /255", "steps", "step size /255"):
        table.add_column(heading, justify="right")
    table.add_column("random start")
    for attack in plan.attacks:
        row = attack.summary()
        unit = f" {row['epsilon_unit']}" if row["norm"] == "l2" else ""
        table.add_row(
            escape(str(row["attack"])),
            escape(str(row["surrogates"])),
            escape(attack.method(plan.task.goal, 1).query.objective.token),
            str(row["normalise"]),
            f"{row['norm']}{unit} {255 * attack.epsilon:.4g}",
            str(row["steps"]),
            f"{255 * attack.alpha:.4g}",
            "yes" if row["random_start"] else "no",
        )
    return table


def _print_models(plan: Plan, console: Console) -> None:
    for role, specs in (("surrogates", plan.surrogates), ("targets", plan.targets)):
        console.print(role, style="italic", highlight=False)
        for spec in specs:
            found = build.describe(spec, plan.root)
            console.print(f"  {found}", markup=False, highlight=False, soft_wrap=True)


def _data(plan: Plan) -> list[str]:
    examples = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    first, *others = described(examples, plan.data.source)
    text = f"data: {first}"
    if plan.select.correct is not None:
        names = plan.select.correct
        who = names if isinstance(names, str) else ", ".join(names)
        text += f"; those that {who} get right are attacked"
    if plan.select.limit is not None:
        text += f"; at most {plan.select.limit:,}"
    units = -(-min(len(examples), plan.select.limit or len(examples)) // plan.resources.batch)
    text += f"; at most {units * len(plan.attacks):,} units of work"
    return [text, *(f"data: {line}" for line in others)]
