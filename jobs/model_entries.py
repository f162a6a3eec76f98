"""The models of a job: short forms, names, and models derived from one another."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.draft import Draft, build, entries
from jobs.findings import Findings
from jobs.schema import ListedModel
from jobs.wording import shown
from jobs.yaml_source import Where
from pipeline.models.spec import ModelSpec
from pipeline.problems import suggest

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


def resolve(roles: Mapping[str, Any], findings: Findings) -> list[Listed]:
    """Return every model of a job in full, reporting what is wrong.

    Args:
        roles: the lists as written, by role; what is no list or no model is passed over, because
            the job's own validation reports it.
        findings: collects the problems.
    """
    drafts = [
        (role, _draft(entry, home))
        for role, written in roles.items()
        for home, entry in entries(written, (role,))
        if isinstance(entry, str | dict)
    ]
    names = _names([draft for _, draft in drafts], findings)
    by_name = {name: draft for (_, draft), name in zip(drafts, names, strict=True)}
    complete = len(drafts) == sum(
        len(written) if isinstance(written, list) else 1 for written in roles.values()
    )
    listed = []
    for (role, draft), name in zip(drafts, names, strict=True):
        full = _inherit(draft, by_name, findings, complete)
        if full is None:
            listed.append(Listed(role, name, draft, None))
            continue
        full.fields["name"] = name
        if "source" not in full.fields:
            findings.add(full.home, "a model needs a `source`, or `like` with another one's name")
            listed.append(Listed(role, name, full, None))
            continue
        listed.append(Listed(role, name, full, build(ModelSpec, full, findings, ListedModel)))
    return listed


def _draft(entry: str | dict[str, Any], home: Where) -> Draft:
    if isinstance(entry, str):
        return Draft(home, {"source": entry}, {("source",): home})
    fields = dict(entry)
    if isinstance(fields.get("defence"), str):
        fields["defence"] = {"kind": fields["defence"]}
        return Draft(home, fields, {("defence", "kind"): (*home, "defence")})
    return Draft(home, fields)


def _names(drafts: Sequence[Draft], findings: Findings) -> list[str]:
    """Return a name for every model; names that a person gave twice are reported."""
    given = [draft.fields.get("name") for draft in drafts]
    taken = Counter(name for name in given if isinstance(name, str))
    names: list[str] = []
    first: dict[str, Draft] = {}
    for draft, name in zip(drafts, given, strict=True):
        if not isinstance(name, str):
            name = _unused(_proposal(draft), taken, draft.fields.get("like"))
            taken[name] += 1
        elif name in first:
            line = findings.document.line(first[name].home)
            findings.add(
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


def _unused(name: str, taken: Mapping[str, int], like: Any) -> str:
    """Return the name, numbered if it is taken or is that of the model derived from."""
    if name not in taken and name != like:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def _inherit(
    draft: Draft, by_name: Mapping[str, Draft], findings: Findings, complete: bool
) -> Draft | None:
    """Fill a draft up from the models in its chain of `like`; None when that fails."""
    full, seen = draft.copy(), [id(draft)]
    here = draft
    while (like := here.fields.get("like")) is not None:
        place = (*here.home, "like")
        if not isinstance(like, str):
            findings.add(place, f"expected the name of another model, got {shown(like)}")
            return None
        if like not in by_name:
            if complete:
                findings.add(place, suggest(like, sorted(by_name), "model"))
            return None
        here = by_name[like]
        if id(here) in seen:
            findings.add(place, f"{like!r} is derived from itself")
            return None
        seen.append(id(here))
        for key, value in here.fields.items():
            if key not in NOT_INHERITED and key not in full.fields:
                full.put(key, value, here.locate((key,)))
                inner = {k: v for k, v in here.origins.items() if k[0] == key}
                full.origins |= inner
    full.fields.pop("like", None)
    return full
