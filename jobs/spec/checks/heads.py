"""The heads that `objective: fd` reads: which a job needs, and which are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.models.heads import TRAIN, Heads, missing
from gauntlet.pipeline.models.model_spec import ModelSpec


@dataclass(frozen=True)
class Need:
    """Heads that a plan needs: of one surrogate, at one layer, with one way of training."""

    attack: int
    spec: ModelSpec
    heads: Heads


@check("root", "task", "data")
def absent_heads(job: JobDraft) -> Iterator[Complaint]:
    """Heads of the job's attacks that are not there, without building a model."""
    attacks = [attack for attack, _ in job.attacks]
    needs = list(needed(attacks, job.specs("surrogates"), job.task.goal))
    if not needs:
        return
    examples = open_examples(job.data, job.task.goal, root=job.root, seed=job.seed)
    labels = wanted_classes(examples)
    for need in needs:
        heads = need.heads
        absent = missing(heads.folder, need.spec, heads.layer, heads.training, labels)
        if absent:
            classes = ", ".join(map(str, absent[:8])) + (", ..." if len(absent) > 8 else "")
            what = f"{need.spec.name!r} has no heads in {heads.folder} for class {classes}"
            _, draft = job.attacks[need.attack]
            yield Complaint(draft.locate(("objective",)), f"{what}; {TRAIN}")


def needed(
    attacks: Sequence[Attack], surrogates: Sequence[ModelSpec], goal: Goal
) -> Iterator[Need]:
    """Yield the heads that attacks need, each once."""
    seen = set()
    for position, attack in enumerate(attacks):
        heads = attack.objective_for(goal).trained_heads
        if heads is None:
            continue
        for spec in surrogates:
            if attack.surrogates is not None and spec.name not in attack.surrogates:
                continue
            if (spec.name, heads) not in seen:
                seen.add((spec.name, heads))
                yield Need(position, spec, heads)


def wanted_classes(examples: Examples) -> list[int]:
    """Return the classes that the attacks move towards, each once."""
    assert examples.wanted is not None  # `fd` exists for targeted attacks only
    return sorted({int(label) for label in examples.wanted})
