"""The attacks of a job: single ones and grids, written out."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from gauntlet.jobs.spec import named_attacks as names
from gauntlet.jobs.spec.document import Where
from gauntlet.jobs.spec.draft import Draft, entries, validate
from gauntlet.jobs.spec.job_problems import JobProblems
from gauntlet.jobs.spec.schema import ListedAttack
from gauntlet.jobs.spec.wording import Complaint, complaints, shown
from gauntlet.pipeline.attacks.base_name import tokens
from gauntlet.pipeline.attacks.part import Part, catalogue
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.problems import suggest
from gauntlet.pipeline.spec import listed

MOST_ATTACKS = 10_000
"""Combinations of one grid; more is a slip of the pen."""


def resolve(written: Any, problems: JobProblems) -> list[tuple[Attack, Draft]]:
    """Return every sound attack of a job and where it was written, reporting what is wrong.

    Args:
        written: the attacks and grids; what is no mapping is passed over, because the
            job's own validation reports it.
        problems: collects the problems.
    """
    attacks: list[tuple[Attack, Draft]] = []
    for home, entry in entries(written, ("attacks",)):
        if not isinstance(entry, dict):
            continue
        if "grid" in entry:
            drafts = _combinations(entry, home, problems)
            _distribute_options(drafts, problems)
        else:
            drafts = [Draft(home, dict(entry))]
        attacks += _build_all(drafts, problems)
    _refuse_clashes(attacks, problems)
    return attacks


def _combinations(entry: Mapping[str, Any], home: Where, problems: JobProblems) -> list[Draft]:
    axes = entry["grid"]
    place = (*home, "grid")
    if isinstance(axes, dict):
        alone = {axis for axis, values in axes.items() if not isinstance(values, list)}
        axes = {axis: listed(values) for axis, values in axes.items()}
    if not isinstance(axes, dict) or not axes:
        problems.add(place, f"expected axes, such as `base: [i, mi]`, got {shown(axes)}")
        return []
    wrong = {axis: _axis_problem(axis, values, entry) for axis, values in axes.items()}
    for axis, what in wrong.items():
        if what:
            problems.add((*place, axis), what)
    shared = Draft(home, {key: value for key, value in entry.items() if key != "grid"})
    if any(wrong.values()) or not isinstance(entry.get("options", {}), dict):
        _report_shared(shared, problems)
        return []
    if (size := math.prod(len(values) for values in axes.values())) > MOST_ATTACKS:
        problems.add(place, f"{size:,} combinations; at most {MOST_ATTACKS:,} are allowed")
        return []
    drafts = []
    for choice in itertools.product(*(range(len(values)) for values in axes.values())):
        draft = shared.copy()
        for (axis, values), index in zip(axes.items(), choice, strict=True):
            origin = (*place, axis) if axis in alone else (*place, axis, index)
            _put(draft, axis, values[index], origin, problems, axes)
        drafts.append(draft)
    return [_named(draft, problems) for draft in drafts]


def _report_shared(shared: Draft, problems: JobProblems) -> None:
    """Report what is wrong with the shared fields of a grid that has no combinations."""
    if isinstance(shared.fields.get("options"), dict):
        del shared.fields["options"]
    result = _validate(shared)
    for complaint in result if isinstance(result, list) else ():
        if complaint.where:
            problems.add(shared.locate(complaint.where), complaint.what)


def _axis_problem(axis: str, values: Any, entry: Mapping[str, Any]) -> str | None:
    if axis not in Attack.model_fields:
        return suggest(axis, sorted(Attack.model_fields), "axis")
    if not isinstance(values, list) or not values:
        return f"expected a list of values, got {shown(values)}"
    if axis in entry and axis != "options":
        return f"`{axis}` is given beside the grid, too; give it in one place"
    for value in values:
        if axis != "options" and isinstance(value, dict) and axis not in value:
            return f"expected `{axis}` among the fields of {shown(value)}"
    return None


def _put(
    draft: Draft,
    axis: str,
    value: Any,
    origin: Where,
    problems: JobProblems,
    axes: Mapping[str, Any],
) -> None:
    """Merge one value of an axis over an attack; a mapping brings several fields."""
    if axis == "options" or not isinstance(value, dict):
        fields = {axis: (value, origin)}
    else:
        fields = {key: (inner, (*origin, key)) for key, inner in value.items()}
    for key, (inner, place) in fields.items():
        if key != axis and key in axes and key != "options":
            problems.add(place, f"`{key}` is an axis of this grid, too; give it in one place")
        elif key == "options" and isinstance(inner, dict):
            _merge_options(draft, inner, place)
        else:
            draft.put(key, inner, place)


def _merge_options(draft: Draft, blocks: Mapping[str, Any], origin: Where) -> None:
    known = draft.fields.get("options")
    merged = dict(known) if isinstance(known, dict) else {}
    for token, block in blocks.items():
        before = merged.get(token)
        if isinstance(before, dict) and isinstance(block, dict):
            merged[token] = {**before, **block}
            for key in block:
                draft.origins[("options", token, key)] = (*origin, token, key)
        else:
            merged[token] = block
            draft.origins[("options", token)] = (*origin, token)
    draft.fields["options"] = merged


def _named(draft: Draft, problems: JobProblems) -> Draft:
    """Fill in the fields that a grid's `name` refers to."""
    name = draft.fields.get("name")
    if not isinstance(name, str):
        return draft

    def value(match: re.Match[str]) -> str:
        key = match[1]
        found = draft.fields.get(key)
        if not isinstance(found, str | int | float):
            known = sorted(k for k, v in draft.fields.items() if isinstance(v, str | int | float))
            problems.add(draft.locate(("name",)), suggest(key, known, "field in the name"))
            return ""
        return str(found)

    draft.put("name", re.sub(r"\{([^{}]*)\}", value, name), draft.locate(("name",)))
    return draft


def _used(draft: Draft) -> set[str] | None:
    """Return the parts of an attack by token; None when it is too wrong to tell."""
    base, combine = draft.fields.get("base", "i"), draft.fields.get("combine", "ens")
    if not isinstance(base, str) or not isinstance(combine, str):
        return None
    objective = draft.fields.get("objective")
    named = {objective} if isinstance(objective, str) else set()
    return {*tokens(base), combine.partition("/")[0], *named}


def _distribute_options(drafts: Sequence[Draft], problems: JobProblems) -> None:
    """Leave each option block to the combinations with its part; a block for none is an error."""
    unused: dict[Where, str] = {}
    used: set[Where] = set()
    for draft in drafts:
        blocks, parts = draft.fields.get("options"), _used(draft)
        if not isinstance(blocks, dict) or parts is None:
            continue
        for token in blocks:
            places = _places(draft, token)
            if token in parts:
                used |= places
            else:
                unused.update((place, str(token)) for place in places)
        draft.fields["options"] = {k: v for k, v in blocks.items() if k in parts}
    for place, token in unused.items():
        if place not in used:
            problems.add(place, f"options for {token!r}, which no attack of this grid uses")


def _places(draft: Draft, token: str) -> set[Where]:
    """Return where the job wrote a block: it may be merged from several."""
    block = draft.fields["options"][token]
    keys = [("options", token, key) for key in block] if isinstance(block, dict) else []
    return {draft.locate(key)[:-1] for key in keys} or {draft.locate(("options", token))}


def _build_all(drafts: Sequence[Draft], problems: JobProblems) -> list[tuple[Attack, Draft]]:
    """Validate attacks; the same mistake in many combinations is reported once."""
    built: list[tuple[Attack, Draft]] = []
    whole: dict[str, list[Draft]] = {}
    for draft in drafts:
        result = _validate(draft)
        if isinstance(result, Attack):
            built.append((result, draft))
            continue
        for complaint in result:
            if complaint.where:
                problems.add(draft.locate(complaint.where), complaint.what)
            else:
                whole.setdefault(complaint.what, []).append(draft)
    for what, affected in whole.items():
        first = affected[0]
        if len(drafts) > 1:
            base, combine = first.fields.get("base", "i"), first.fields.get("combine", "ens")
            more = f" and {len(affected) - 1} more" if len(affected) > 1 else ""
            what = f"{what} (base {base!r}, combine {combine!r}{more})"
        problems.add(first.home, what)
    return built


def _validate(draft: Draft) -> Attack | list[Complaint]:
    """Validate the fields, then each option block by itself, then the attack as a whole."""
    if draft.fields.get("source") or draft.fields.get("images"):
        return validate(Attack, draft.fields, ListedAttack)  # it has no parts
    fields = {key: value for key, value in draft.fields.items() if key != "options"}
    blocks = draft.fields.get("options", {})
    bare = validate(Attack, fields, ListedAttack)
    wrong = [] if isinstance(bare, Attack) else bare
    fatal = {complaint.where[:1] for complaint in wrong}
    if not isinstance(blocks, dict):
        return [*wrong, Complaint(("options",), f"expected a mapping, got {shown(blocks)}")]
    if not fatal & {("base",), ("combine",), ("objective",)}:
        named = ("base", "combine", "objective")
        parts: dict[str, Any] = {key: fields[key] for key in named if key in fields}
        for token, block in blocks.items():
            wrong += _option_complaints(parts, token, block)
    if not wrong:
        whole = validate(Attack, draft.fields, ListedAttack)
        if isinstance(whole, Attack):
            return whole
        wrong = whole
    return [_by_its_name(_at_rule(complaint, fields), fields) for complaint in wrong]


def _option_complaints(parts: dict[str, Any], token: str, block: Any) -> list[Complaint]:
    # One block at a time: the errors of a part come without the token that they belong to.
    try:
        Attack.model_validate({**parts, "options": {token: block}})
    except ValidationError as error:
        part = next((part for part in catalogue() if part.token == token), Part)
        return [
            Complaint(("options", token, *complaint.where), complaint.what)
            for complaint in complaints(error, part, block, root=("options",))
        ]
    return []


def _at_rule(complaint: Complaint, fields: Mapping[str, Any]) -> Complaint:
    """Move what one field alone gets wrong, or the combination rule, to that field."""
    first = complaint.what.partition(" ")[0]
    if not complaint.where and first in fields:
        return Complaint((first,), complaint.what)
    if not complaint.where and "combine" in fields:
        alone = validate(Attack, {"combine": fields["combine"]})
        if isinstance(alone, list) and complaint.what in {item.what for item in alone}:
            return Complaint(("combine",), complaint.what)
    return complaint


def _by_its_name(complaint: Complaint, fields: Mapping[str, Any]) -> Complaint:
    """Say how a job writes an attack whose name stands where a part's should."""
    if complaint.where not in (("base",), ("combine",), ("objective",)):
        return complaint
    name = fields[str(complaint.where[0])]
    if not isinstance(name, str) or name.lower() in {part.token for part in catalogue()}:
        return complaint
    return Complaint(complaint.where, names.written(name) or complaint.what)


def _refuse_clashes(attacks: Sequence[tuple[Attack, Draft]], problems: JobProblems) -> None:
    homes: dict[str, Where] = {}
    for attack, draft in attacks:
        if attack.label in homes:
            line = problems.document.line(homes[attack.label])
            problems.add(
                draft.home,
                f"two attacks are labelled {attack.label!r} (the other in line {line}); give each "
                'a `name` (in a grid with the fields that differ: `name: "{base} {steps}"`)',
            )
        homes.setdefault(attack.label, draft.home)
