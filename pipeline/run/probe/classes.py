"""Whether the models have the classes that the examples have."""

from __future__ import annotations

from collections.abc import Mapping

from gauntlet.pipeline.data.data_spec import DataSpec
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.problems import Problem
from gauntlet.pipeline.run.probe.labels import advice


def class_problems(
    examples: Examples,
    classes: Mapping[str, int],
    data: DataSpec,
    why: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Return one problem for each number of classes that is too small for the examples.

    Args:
        examples: all that are to be attacked.
        classes: number of outputs by model.
        data: what the job says of them.
        why: a likely cause and what to do, by model.
    """
    problems = []
    labels, wanted = examples.listing.labels, examples.wanted
    if labels is None or not len(labels):
        return []
    class_map, mapped = getattr(data, "classes", None), examples.listing.classes
    for count in sorted(set(classes.values())):
        names = [name for name, outputs in classes.items() if outputs == count]
        who = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        has = f"{who} {'has' if len(names) == 1 else 'have'} {count:,} classes, 0 to {count - 1}"
        outside = int((labels >= count).sum())
        if isinstance(class_map, str) and mapped != count:
            what = f"{class_map} names {mapped:,} classes, {has}: name all of them, in their order"
            problems.append(Problem("data.classes", what))
        elif outside:
            hint = next((text for name in names if (text := (why or {}).get(name))), None)
            hint = hint or _guess(int(labels.min()), int(labels.max()), count, data)
            problems.append(
                Problem(
                    "data",
                    f"labels run from {labels.min()} to {labels.max()}, {has}: "
                    f"{outside:,} of {len(labels):,} examples have a class that is not there; "
                    f"{hint}",
                )
            )
        elif wanted is not None and int(wanted.max()) >= count:
            problems.append(
                Problem(
                    "data.wanted",
                    f"wanted classes run to {wanted.max()}, {has}: state `classes: {count}` in "
                    "the data, or take models of its classes",
                )
            )
    return problems


def _guess(low: int, high: int, classes: int, data: DataSpec) -> str:
    if low == 1 and high == classes:
        return f"if they are counted from 1, {advice('from one', data)}"
    return "take models of the data's classes, or examples of the models' classes"
