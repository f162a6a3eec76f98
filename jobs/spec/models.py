"""The models of a job: short forms, names, and models derived from one another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gauntlet.jobs.spec.document import Where
from gauntlet.jobs.spec.draft import Draft, build, entries
from gauntlet.jobs.spec.job_problems import JobProblems
from gauntlet.jobs.spec.schema import ListedModel
from gauntlet.jobs.spec.wording import shown
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import suggest

NOT_INHERITED = frozenset({"name", "group", "repeats", "white_box", "like"})
"""What a model does not take from the one in its `like`."""


@dataclass(frozen=True)
class Listed:
    """A model of the job.

    Attributes:
        role: `surrogates` or `targets`.
        name: as the rest of the job may call it.
        draft: where its fields come from.
        spec: None when something is wrong with it, which has been reported.
    """

    role: str
    name: str
    draft: Draft
    spec: ModelSpec | None


def resolve(roles: Mapping[str, Any], problems: JobProblems) -> list[Listed]:
    """Return every model of a job in full, reporting what is wrong.

    Args:
        roles: the lists as written, by role; what is no list or no model is passed over, because
            the job's own validation reports it.
        problems: collects the problems.
    """
    drafts = [
        (role, _draft(entry, home))
        for role, written in roles.items()
        for home, entry in entries(written, (role,))
        if isinstance(entry, str | dict)
    ]
    names = _names([draft for _, draft in drafts], problems)
    by_name = {name: draft for (_, draft), name in zip(drafts, names, strict=True)}
    complete = len(drafts) == sum(
        len(written) if isinstance(written, list) else 1 for written in roles.values()
    )
    family = _Family(by_name, problems, complete)
    listed = []
    for (role, draft), name in zip(drafts, names, strict=True):
        full = family.inherit(draft)
        if full is None:
            listed.append(Listed(role, name, draft, None))
            continue
        full = full.copy()  # others may inherit from it
        full.fields["name"] = name
        if "source" not in full.fields:
            problems.add(full.home, "a model needs a `source`, or `like` with another one's name")
            listed.append(Listed(role, name, full, None))
            continue
        listed.append(Listed(role, name, full, build(ModelSpec, full, problems, ListedModel)))
    return listed


def _draft(entry: str | dict[str, Any], home: Where) -> Draft:
    if isinstance(entry, str):
        return Draft(home, {"source": entry}, {("source",): home})
    fields = dict(entry)
    if isinstance(fields.get("defence"), str):
        fields["defence"] = {"kind": fields["defence"]}
        return Draft(home, fields, {("defence", "kind"): (*home, "defence")})
    return Draft(home, fields)


def _names(drafts: Sequence[Draft], problems: JobProblems) -> list[str]:
    """Return a name for every model; names that a person gave twice are reported."""
    given = [draft.fields.get("name") for draft in drafts]
    taken = Counter(name for name in given if isinstance(name, str))
    names: list[str] = []
    numbers: dict[str, int] = {}
    first: dict[str, Draft] = {}
    for draft, name in zip(drafts, given, strict=True):
        if not isinstance(name, str):
            name = _unused(_proposal(draft), taken, draft.fields.get("like"), numbers)
            taken[name] += 1
        elif name in first:
            line = problems.document.line(first[name].home)
            problems.add(
                (*draft.home, "name"),
                f"another model is called {name!r} (line {line}); "
                "names are unique among surrogates and targets together",
            )
        first.setdefault(name, draft)
        names.append(name)
    return names


def _proposal(draft: Draft) -> str:
    like = draft.fields.get("like")
    if isinstance(like, str):
        defence = draft.fields.get("defence")
        if isinstance(defence, dict) and isinstance(defence.get("kind"), str):
            return f"{like}-{defence['kind']}"
        return f"{like}-white-box" if draft.fields.get("white_box") is True else like
    source = draft.fields.get("source")
    last = re.split(r"[/:]", source)[-1] if isinstance(source, str) else ""
    return re.sub(r"\.(safetensors|pth?|bin)$", "", last) or "model"


def _unused(name: str, taken: Mapping[str, int], like: Any, numbers: dict[str, int]) -> str:
    """Return the name, numbered if it is taken or is that of the model derived from.

    Args:
        name: what is wished for.
        taken: names that others have.
        like: name of the model derived from.
        numbers: the number that each name was last given; a new one is put there.
    """
    if name not in taken and name != like:
        return name
    number = numbers.get(name, 1) + 1
    while f"{name}-{number}" in taken:
        number += 1
    numbers[name] = number
    return f"{name}-{number}"


class _Family:
    """Fills models up from the ones in their chains of `like`, each of them once."""

    def __init__(self, by_name: Mapping[str, Draft], problems: JobProblems, complete: bool) -> None:
        """Take all models by name; ``complete``: whether these are all that the job has."""
        self._by_name, self._problems, self._complete = by_name, problems, complete
        self._names = sorted(by_name)
        self._full: dict[int, Draft | None] = {}

    def inherit(self, draft: Draft) -> Draft | None:
        """Return a model with all that it takes from others; None when that fails."""
        chain = [draft]
        open_ = {id(draft)}
        while id(chain[-1]) not in self._full:
            parent = self._parent(chain[-1])
            if parent is None:
                break
            if id(parent) in open_:
                like, place = chain[-1].fields["like"], (*chain[-1].home, "like")
                self._problems.add(place, f"{like!r} is derived from itself")
                self._full |= dict.fromkeys(open_)
                break
            open_.add(id(parent))
            chain.append(parent)
        while chain:
            here = chain.pop()
            if id(here) not in self._full:
                self._full[id(here)] = self._filled(here)
        return self._full[id(draft)]

    def _parent(self, draft: Draft) -> Draft | None:
        like = draft.fields.get("like")
        return self._by_name.get(like) if isinstance(like, str) else None

    def _filled(self, draft: Draft) -> Draft | None:
        """Return a model with what its own `like` gives it, which is full already."""
        like, place = draft.fields.get("like"), (*draft.home, "like")
        full = draft.copy()
        full.fields.pop("like", None)
        if like is None:
            return full
        if not isinstance(like, str):
            self._problems.add(place, f"expected the name of another model, got {shown(like)}")
            return None
        if like not in self._by_name:
            if self._complete:
                self._problems.add(place, suggest(like, self._names, "model"))
            return None
        parent = self._full[id(self._by_name[like])]
        if parent is None:
            return None
        for key, value in parent.fields.items():
            if key not in NOT_INHERITED and key not in full.fields:
                full.put(key, value, parent.locate((key,)))
                full.origins |= {k: v for k, v in parent.origins.items() if k[0] == key}
        return full
