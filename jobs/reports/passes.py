"""What attacks cost: passes of each surrogate, counted by rehearsing the run's plan."""

from __future__ import annotations

from gauntlet.jobs.reports.matrix import Cell, Heading, Matrix
from gauntlet.pipeline.problems import BadInput, Problem

NOTE = (
    "passes, forward and back, that an image takes of each surrogate, all views counted; "
    "what foreign attacks ask nobody counts"
)
ALL = "all surrogates"


def passes_matrix(run: str) -> Matrix:
    """Return the passes of a run's attacks: a row an attack, a column a surrogate, then their sum.

    Args:
        run: the run's folder. Its plan is read, and nothing else.

    Raises:
        BadInput: when the plan cannot be read, or all of its attacks are foreign.
    """
    # The loop is rehearsed, which takes torch.
    from gauntlet.pipeline.run.plan import plan_of
    from gauntlet.pipeline.run.rehearsal import passes

    plan = plan_of(run)
    attacks = {attack.label: attack for attack in plan.attacks}
    names = [spec.name for spec in plan.surrogates]
    cells: dict[tuple[int, int], Cell] = {}
    for row, attack in enumerate(attacks.values()):
        if attack.foreign is not None:
            continue
        found = passes(attack, plan.surrogates_of(attack), plan.task.goal)
        cells |= {(row, names.index(name)): Cell(count) for name, count in found.items()}
        cells[row, len(names)] = Cell(sum(found.values()))
    if not cells:
        what = "passes: this run has none: its attacks are foreign, and nobody counts what they ask"
        raise BadInput(Problem("--values", what))
    return Matrix(
        "passes an image, attack x surrogate", "passes", ("attack",), [(name,) for name in attacks],
        [*map(Heading, names), Heading(ALL)], cells, [NOTE],
    )  # fmt: skip
