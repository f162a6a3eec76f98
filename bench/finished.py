"""Finished runs of any size, without models: verdicts drawn here, written as a run writes them.

python -m bench.finished FOLDER [--attacks 10] [--targets 10] [--examples 1000] [--steps 1]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import Manifest, RunFolder
from gauntlet.pipeline.results.compaction import compact
from gauntlet.pipeline.results.manifest import AttackRecord, UnitsRecord
from gauntlet.pipeline.results.parts import Parts, Receipt
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import (
    Begun,
    Chosen,
    Commit,
    UnitDone,
    digest_of,
)
from gauntlet.pipeline.run.batches import batches
from gauntlet.pipeline.run.plan import Evaluate, Plan, Resources, TaskSpec
from gauntlet.pipeline.run.rows.identity import identity_columns
from gauntlet.pipeline.run.unit import UnitIds

BASES = ("i", "mi", "ni", "di-mi", "ti-mi", "di-ti-mi", "si-mi", "vr-mi")
RULES = ("ens", "ens-l2", "mgda", "rgea")
COPIES = 4
"""Batches whose numbers differ; the others repeat them, so that drawing takes no time."""


def plan(folder: Path, attacks: int, targets: int, steps: int, seed: int = 0) -> Plan:
    """Return a plan of so many attacks and targets, whose last ``steps`` updates are judged."""
    made = [Attack(base=base, combine=rule, steps=10) for rule in RULES for base in BASES]
    models = [
        ModelSpec(name=f"target-{n}", source="import:bench.networks:random_network",
                  group=("normal", "transform", "robust")[n % 3], input_size=(32, 32))
        for n in range(targets)
    ]  # fmt: skip
    return Plan(
        name="finished",
        task=TaskSpec(kind="classification", goal="untargeted"),
        root=folder,
        data=Npz(source="npz", path="images.npz"),
        surrogates=models[:1],
        targets=models[-targets:],
        attacks=made[:attacks],
        evaluate=Evaluate(steps=tuple(range(11 - steps, 11)) if steps > 1 else "last"),
        resources=Resources(placement="in-process"),
        seed=seed,
    )


def finish(folder: Path, plan: Plan, examples: int, pixels: int = 0, whole: bool = True) -> None:
    """Write a run of a plan that was carried out, as its driver and its carriers do.

    Args:
        folder: of the run; new.
        plan: what it did; nothing of it is built or read.
        examples: how many were attacked.
        pixels: side of the images that are stored; 0 for none.
        whole: compact the run, as the end of one does.
    """
    run = RunFolder(str(folder))
    record = Record(run)
    content = plan.model_dump(mode="json")
    record.append(Begun(version="0", plan=content, digest=digest_of(plan.what)))
    run.write("plan.json", json.dumps(content, indent=2).encode())
    ids = [f"val/ILSVRC2012_val_{number:08d}.JPEG" for number in range(examples)]
    run.write("selection.json", json.dumps(ids).encode())
    record.append(Chosen(thresholds={}, examples=examples, digest=digest_of(ids)))

    def told(receipt: Receipt) -> None:
        record.append(Commit(files=receipt.files, units=dict(receipt.units)))
        run.place(file.name for file in receipt.files)

    resources = plan.resources
    parts = Parts(run, int(resources.part_megabytes * 2**20), resources.part_seconds, told)
    names = UnitIds(plan)
    for number, places in enumerate(batches(examples, resources.batch)):
        some = [ids[place] for place in places]
        for attack, unit in zip(plan.attacks, names.of(some), strict=True):
            tables = {"verdicts": _verdicts(plan, attack, some, number % COPIES)}
            tables["examples"] = _images(plan, attack, some, pixels)
            done = UnitDone(attack=attack.label, rows=len(tables["verdicts"]["example"]), lost=0,
                            seconds=0.1)  # fmt: skip
            parts.add(unit, done, tables)
    parts.write()
    run.write("manifest.json", _manifest(plan, len(record.units)).text())
    if whole:
        compact(run, record, Silent())


def _manifest(plan: Plan, units: int) -> Manifest:
    return Manifest(
        started="2026-01-01T00:00:00+0000",
        finished="2026-01-01T01:00:00+0000",
        name=plan.name,
        seed=plan.seed,
        task=plan.task.model_dump(mode="json"),
        evaluate=plan.evaluate.model_dump(mode="json"),
        resources=plan.resources.model_dump(mode="json"),
        placement="in-process on cpu (asked for)",
        attacks=[AttackRecord.model_validate(attack.summary()) for attack in plan.attacks],
        models={},
        software={},
        thresholds={},
        units=UnitsRecord(done=units),
    )


def _verdicts(plan: Plan, attack: Attack, ids: list[str], number: int) -> dict[str, Any]:
    steps = [*plan.evaluate.before_last(attack.steps), attack.steps]
    blocks = [*_blocks(plan, attack, len(ids), steps, number)]
    joined: dict[str, Any] = {
        name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]
    }
    for name in ("target", "group"):
        joined[name] = joined[name].tolist()
    whole: dict[str, Any] = {
        "threshold": 0.0,
        "threshold_rule": None,
        "repeats": 1,
        "success_std": 0.0,
        "score_std": 0.0,
    }
    whole |= {"white_box": False, "clean_accepted": None, "clean_success": 0.0, "rank": None}
    return {**identity_columns(plan, attack, ids * len(blocks)), **joined, **whole}


def _blocks(
    plan: Plan, attack: Attack, count: int, steps: list[int], number: int
) -> Iterator[dict[str, Any]]:
    """Yield the numbers of each step and target, as targets give them."""
    draws = np.random.default_rng([number, *attack.label.encode()])
    for step in steps:
        linf, l2 = np.full(count, 8.0), draws.uniform(5, 7, count)
        for target in plan.targets:
            clean, score = draws.normal(-3, 2, count), draws.normal(0, 3, count)
            yield {
                "target": np.full(count, target.name, object),
                "group": np.full(count, target.group, object),
                "step": np.full(count, step),
                "score": score,
                "success": (score > 0).astype(float),
                "clean_score": clean,
                "clean_correct": clean < 0,
                "prediction": draws.integers(0, 1000, count),
                "linf": linf,
                "l2": l2,
            }


def _images(plan: Plan, attack: Attack, ids: list[str], pixels: int) -> dict[str, Any]:
    draws = np.random.default_rng([len(ids), *attack.label.encode()])
    content = [draws.bytes(3 * pixels**2) for _ in ids]
    kind = {"height": pixels, "width": pixels, "dtype": "uint8"} if pixels else {}
    empty = dict.fromkeys(("height", "width", "dtype", "image", "unmoved"))
    return {**identity_columns(plan, attack, ids), "linf": 8.0, "l2": 6.0, **empty, **kind} | (
        {"image": content} if pixels else {}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name, usual in (("attacks", 10), ("targets", 10), ("examples", 1000), ("steps", 1)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--pixels", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    made = plan(Path("/data"), given.attacks, given.targets, given.steps, given.seed)
    finish(given.folder, made, given.examples, given.pixels)


if __name__ == "__main__":
    main()
