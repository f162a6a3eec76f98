"""What an attack asks of its surrogates, and where the job names the part that asks it."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.jobs.spec.document import Where
from gauntlet.jobs.spec.draft import Draft
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal


def queries(attack: Attack, goal: Goal) -> Iterator[Query]:
    """Yield what an attack asks of its surrogates, the question of its earlier attack first."""
    try:
        query = attack.query(goal)
    except ValueError:
        return  # does not exist for the goal, which has been reported
    guide = query.objective.guide()
    if guide is not None:
        yield from queries(attack.guide(guide), goal)
    yield query


def place(draft: Draft, token: str, field: str | None = None) -> Where:
    """Return where an attack says what is wrong with a part: its options, or where it is named.

    Args:
        draft: the attack's.
        token: the part's.
        field: of its options, if one is at fault.
    """
    options = draft.fields.get("options")
    given = options.get(token) if isinstance(options, dict) else None
    if field and isinstance(given, dict) and field in given:
        return draft.locate(("options", token, field))
    if given is not None:
        return draft.locate(("options", token))
    return draft.locate(("objective" if field else "base",))
