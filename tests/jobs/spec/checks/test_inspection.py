"""The list of checks: each says what it needs, and a model is looked at once for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gauntlet.jobs.spec.checks.check import Check, check
from gauntlet.jobs.spec.checks.inspection import BEFORE_A_RUN, CHECKS, inspect
from gauntlet.jobs.spec.job_draft import JobDraft, Section
from gauntlet.jobs.spec.loading import load
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.jobs.spec.yaml_source import read
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import Problem
from tests import toys
from tests.toys.jobs import attacks, write

HARD = attacks(
    "  - {base: i, epsilon: 8/255, steps: 2}\n"
    "  - {base: mi+ir, options: {ir: {grid: 9}}}\n"
    "  - {base: sgm, surrogates: [s0]}\n"
    '  - {base: i, objective: fi, options: {fi: {layer: "1"}}}\n'
    '  - {base: i, objective: fd, options: {fd: {layer: "1", heads: nowhere}}}'
)
MORE = (
    "resources: {placement: in-process, batch: 4}\n",
    "resources: {placement: in-process, batch: 4, dtype: float16}\n"
    "evaluate: {steps: [1, 9], interactions: {grid: 9}}\n"
    "select: {correct: [nobody]}\n",
)
TARGETED = ("goal: untargeted", "goal: targeted")
WRONG: dict[Section, tuple[str, str]] = {
    "task": ("kind: classification", "kind: verification"),
    "root": ("data:", "root: nowhere\ndata:"),
    "data": ("source: npz", "source: nzp"),
    "surrogates": ("surrogates:\n", "surrogates:\n  - 7\n"),
    "targets": ("targets:\n", "targets:\n  - 7\n"),
}

TASK = "{kind: classification, goal: untargeted}"
DATA = "{source: npz, path: images.npz}"
PICTURES = Path(toys.__file__).parents[2] / "docs"
S0 = "options: {seed: 0}}"
ATTACK = "base: i, epsilon: 8/255"
PLACEMENT = "resources: {placement: in-process"
MEASURED = "evaluate: {interactions: {grid: 2"
REFUSED: dict[str, list[tuple[str, str]]] = {
    "models.fields_of_targets": [(S0, "options: {seed: 0}, repeats: 2}")],
    "models.thresholds": [("seed: 2}}", "seed: 2}, threshold: 0.3}")],
    "models.fields_of_defences": [(S0, "options: {seed: 0}, defence: {kind: jpeg, bits: 3}}")],
    "models.specifications": [(S0, "options: {seed: 0}, std: [0, 0, 0]}")],
    "white_box.white_boxes": [("seed: 2}}", "seed: 2}, white_box: true}")],
    "data.listed_examples": [("path: images.npz", "path: nowhere.npz")],
    "data.calibration": [(PLACEMENT, "threshold: {far: 0.01}\n" + PLACEMENT)],
    "data.enough_pairs": [
        (TASK, "{kind: verification, goal: dodging}"),
        (DATA, "{source: rendered, pairs: 20}"),
        (PLACEMENT, "threshold: {far: 0.01}\n" + PLACEMENT),
    ],
    "success.rule": [(PLACEMENT, "success: {cosine: 0.5}\n" + PLACEMENT)],
    "success.gallery": [
        (TASK, "{kind: embedding, goal: dodging}"),
        (DATA, "{source: rendered, pairs: 20}"),
        (
            PLACEMENT,
            "success: {rank: 1, gallery: {source: images, root: nowhere}}\n" + PLACEMENT,
        ),
    ],
    "success.starts": [
        (TASK, "{kind: embedding, goal: dodging}"),
        (DATA, f"{{source: images, root: {PICTURES}, size: [8, 8]}}"),
    ],
    "attacks.names_of_surrogates": [(ATTACK, f"{ATTACK}, surrogates: [nobody]")],
    "attacks.goals": [(ATTACK, f"{ATTACK}, objective: cosine")],
    "attacks.references": [TARGETED, (ATTACK, f"{ATTACK}, objective: aa")],
    "attacks.second_derivatives": [
        (PLACEMENT, f"{PLACEMENT}, dtype: float16"),
        (ATTACK, "base: i+ir-closed, epsilon: 8/255"),
    ],
    "evaluate.steps": [(PLACEMENT, "evaluate: {steps: [9]}\n" + PLACEMENT)],
    "evaluate.utility": [(PLACEMENT, f"{MEASURED}, utility: similarity}}}}\n{PLACEMENT}")],
    "evaluate.randomised_surrogates": [
        (S0, "options: {seed: 0}, defence: {kind: resize-pad}}"),
        (PLACEMENT, f"{MEASURED}}}}}\n{PLACEMENT}"),
    ],
    "evaluate.second_derivatives": [
        (PLACEMENT, f"{MEASURED}, closed_form: true}}}}\n{PLACEMENT}, dtype: float16")
    ],
    "networks.surgeries_and_layers": [(ATTACK, "base: sgm, epsilon: 8/255")],
    "attacks.own_seeds": [(ATTACK, f"{ATTACK}, seed: 7")],
    "own_parts.laws": [
        (ATTACK, "combine: averaging, epsilon: 8/255"),
        (PLACEMENT, f"parts: {Path(toys.__file__).parent / 'averaging.py'}\n{PLACEMENT}"),
    ],
    "foreign.sources": [(f"{ATTACK}, steps: 2", 'source: "tests.toys.theirs:nobody"')],
    "foreign.images": [(f"{ATTACK}, steps: 2", "images: nowhere")],
    "grids.cells": [(ATTACK, "base: ir, options: {ir: {grid: 9}}, epsilon: 8/255")],
    "select.names_of_models": [(PLACEMENT, "select: {correct: [nobody]}\n" + PLACEMENT)],
    "heads.absent_heads": [
        TARGETED,
        (ATTACK, f'{ATTACK}, objective: fd, options: {{fd: {{layer: "1", heads: nowhere}}}}'),
    ],
}
"""Changes of a sound job by which each check finds something, and no other is needed."""


def draft(folder: Path, *changes: tuple[str, str]) -> JobDraft:
    return JobDraft.of(read(write(folder, *changes)), folder)


def named(one: Check) -> str:
    return f"{one.find.__module__.rpartition('.')[2]}.{one.find.__name__}"


@pytest.mark.parametrize("section", WRONG)
def test_what_a_check_reads_it_says_that_it_needs(tmp_path: Path, section: Section) -> None:
    job = draft(tmp_path, TARGETED, WRONG[section], HARD, MORE)
    assert not job.has(section)
    before = len(job.problems)
    # A section that is not sound has no value: reading it undeclared is an error.
    for one in (*CHECKS, *BEFORE_A_RUN):
        inspect(job, [one])
    assert len(job.problems) > before


@pytest.mark.parametrize("one", [*CHECKS, *BEFORE_A_RUN], ids=named)
def test_every_check_refuses_something(tmp_path: Path, one: Check) -> None:
    assert list(one(draft(tmp_path))) == []
    job = draft(tmp_path, *REFUSED[named(one)])
    assert len(job.problems) == 0
    assert list(one(job))


def test_a_wrong_section_leaves_out_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    asked: list[str] = []

    @check("task")
    def of_the_task(job: JobDraft) -> list[Complaint]:
        asked.append(f"task {job.task.goal.value}")
        return [Complaint(("task", "goal"), "is no good")]

    @check()
    def of_the_attacks(job: JobDraft) -> list[Complaint]:
        asked.append(f"{len(job.attacks)} attacks")
        return []

    wrong = draft(tmp_path, WRONG["task"])
    inspect(wrong, [of_the_task, of_the_attacks])
    assert asked == ["1 attacks"]
    found = inspect(draft(tmp_path), [of_the_task, of_the_attacks])
    assert asked == ["1 attacks", "task untargeted", "1 attacks"]
    assert [str(problem).rpartition("/")[2] for problem in found] == [
        "job.yaml:2: task.goal: is no good"
    ]


@pytest.mark.parametrize("section", ["surrogates", "targets"])
def test_names_are_not_unknown_where_a_list_is_wrong(tmp_path: Path, section: Section) -> None:
    found = inspect(draft(tmp_path, WRONG[section], MORE))
    assert not [problem for problem in found if "select" in problem.where]


def test_the_default_stands_in_for_a_wrong_section_that_has_one(tmp_path: Path) -> None:
    job = draft(tmp_path, ("batch: 4", "batch: 0, dtype: float16"))
    assert job.resources.batch == 64
    assert [problem.what for problem in job.problems.in_order] == ["expected at least 1, got 0"]


def test_a_model_is_looked_at_once_however_many_checks_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = build.check

    def counted(spec: ModelSpec, *args: Any, **kwargs: Any) -> list[Problem]:
        looked.append(spec.name)
        return real(spec, *args, **kwargs)

    monkeypatch.setattr(build, "check", counted)
    load(write(tmp_path, attacks('  - {base: i, objective: fi, options: {fi: {layer: "1"}}}')))
    assert looked == ["s0", "s1", "t0"]
