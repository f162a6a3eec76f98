"""Runs for reports: verdicts drawn here, in folders as the runner writes them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.pipeline.results import RunFolder
from tests.toys.jobs import plan
from tests.toys.manifests import manifest

N = 40
STEPS = 12


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def success_table(seed: int, steps: int = STEPS) -> np.ndarray:
    """Success that rises and falls again: the last step is not the best one."""
    height = np.sin(np.linspace(0.3, 2.6, steps))
    return (np.random.default_rng(seed).random((N, steps)) < 0.9 * height).astype(float)


def write_run(
    folder: Path,
    *,
    seed: int = 0,
    steps: int = STEPS,
    targets: tuple[str, ...] = ("t0", "t1"),
    attacks: tuple[str, ...] = ("i", "mi"),
    fooled: Mapping[tuple[str, str], int] | None = None,
    groups: Mapping[str, str] | None = None,
    white: Collection[tuple[str, str]] = (),
    first: int = 0,
    goal: str = "untargeted",
    right: bool = True,
) -> Path:
    """Write a run as the runner would, of verdicts drawn here.

    Every fourth example is one that its target had wrong before; each, where `right` is off. Where
    `fooled` says it, an attack fools a target with the examples e0 ... below that number, and no
    other, and they have a score of 1, the others of 0. `white` are attacks and targets; the first
    example is e`first`.
    """
    numbers = range(first, first + N)
    run = RunFolder(str(folder))
    folder.mkdir(parents=True)
    made = plan(folder).model_copy(update={"seed": seed, "name": f"run-{seed}"})
    text = json.loads(made.model_dump_json()) | {"root": "/data"}
    run.write("plan.json", json.dumps(text).encode())
    task = {"kind": "classification", "goal": goal}
    run.write("manifest.json", manifest(attacks, finished="2026-01-01", task=task).text())
    for place, attack in enumerate(attacks):
        for column, target in enumerate(targets):
            table = success_table(100 * seed + 10 * place + column)[:, -steps:]
            score = np.full((N, steps), 1.5 + place)
            if fooled is not None:
                hit = [float(number < fooled[attack, target]) for number in numbers]
                table = score = np.repeat(np.array(hit)[:, None], steps, 1)
            run.write_rows(
                "verdicts",
                f"{attack}-{target}".replace("/", "_"),
                {
                    "example": [f"e{i}" for i in numbers for _ in range(steps)],
                    "task": "classification", "goal": goal, "attack": attack,
                    "seed": seed, "base": attack, "rule": "ens", "surrogates": "s0", "norm": "linf",
                    "epsilon": 8.0, "steps": STEPS, "step_size": 1.0, "target": target,
                    "group": (groups or {}).get(target, "normal"),
                    "white_box": (attack, target) in white,
                    "step": [t + STEPS - steps + 1 for _ in range(N) for t in range(steps)],
                    "success": table.flatten(), "success_std": 0.0,
                    "score": score.flatten(), "score_std": 0.0, "threshold": 0.0,
                    "threshold_rule": None, "rank": None,
                    "clean_score": -1.0, "clean_success": 0.0,
                    "clean_correct": [right and i % 4 != 0 for i in numbers for _ in range(steps)],
                    "clean_accepted": None, "prediction": 1, "repeats": 1, "linf": 8.0, "l2": 5.0,
                },
            )  # fmt: skip
    return folder
