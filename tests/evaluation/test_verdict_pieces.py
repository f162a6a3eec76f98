"""A run that is read in pieces comes to the figures of its whole tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gauntlet.jobs.reports.frames import Figures
from gauntlet.pipeline import results
from gauntlet.pipeline.evaluation import verdict_pieces
from gauntlet.pipeline.evaluation.comparison import COMPARED, against, compared
from gauntlet.pipeline.evaluation.leave_one_out import FIGURES, loo_by_group, loo_by_target
from gauntlet.pipeline.evaluation.step_curves import by_step, by_step_and_group
from gauntlet.pipeline.evaluation.success_rates import by_group, by_target
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder, parquet
from gauntlet.pipeline.results.compaction import compact
from gauntlet.pipeline.results.parts import Parts, Receipt
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import Begun, Commit
from tests.toys.former import as_former
from tests.toys.manifests import manifest
from tests.toys.rows import done, unit_rows

ATTACKS = {"b/rgea": (10,), "a/ens": (2, 5, 10), "c/mgda": (10,)}
"""Judged steps; the job does not list the attacks as files are sorted."""
TARGETS = ("t2", "s0", "t1", "once", "unknown")


def columns(attack: str, examples: list[str], targets: tuple[str, ...]) -> dict[str, object]:
    """Verdicts with odd values: shares, unknown clean answers, white boxes, a second group."""
    steps, k, n = ATTACKS[attack], len(targets), len(examples)
    rows = unit_rows(attack, examples, targets=targets * len(steps))["verdicts"]
    draws = np.random.default_rng([*attack.encode(), *examples[0].encode()])
    target = np.array(rows["target"])
    repeats = np.where(target == "t1", 5, 1)
    correct = [None if t == "unknown" else bool(draws.random() < 0.8) for t in target[:k]]
    right = np.array([correct[place % k] for place in range(len(target))], object)
    return rows | {
        "step": [*np.tile(np.repeat(steps, k), n)],
        "success": draws.integers(0, repeats + 1) / repeats,
        "score": draws.normal(size=len(target)), "clean_score": draws.normal(size=len(target)),
        "l2": draws.uniform(5, 7, len(target)), "goal": "untargeted", "base": attack[0],
        "rule": attack[2:], "white_box": [*(target == "s0")], "clean_correct": [*right],
        "group": [*np.where(target == "t2", "robust", "normal")],
    }  # fmt: skip


def written(folder: Path, parts: int) -> Path:
    """A run that is not finished: one unit is left, and one target has no verdict in another."""
    run, record = RunFolder(str(folder)), None
    run.write("plan.json", b'{"seed":1}')
    run.write("manifest.json", manifest([*ATTACKS]).text())
    record = Record(run)
    record.append(Begun(version="0", plan={"seed": 1}, digest="d"))

    def told(receipt: Receipt) -> None:
        record.append(Commit(files=receipt.files, units=dict(receipt.units)))
        run.place(file.name for file in receipt.files)

    buffer = Parts(run, 2**60, 1e9, told)
    ids = [f"image-{number:03d}" for number in range(60)]
    units = [(attack, begin) for begin in range(0, 60, 12) for attack in ATTACKS][:-1]
    for number, (attack, begin) in enumerate(units):
        targets = TARGETS[:3] if number == 1 else TARGETS
        some = ids[begin : begin + 12]
        tables = {"verdicts": columns(attack, some, targets)}
        tables["examples"] = unit_rows(attack, some)["examples"] | {
            "linf": [0.0, *[8.0] * 11], "unmoved": None,
        }  # fmt: skip
        buffer.add(f"{attack[0]}{begin}", done(attack), tables)
        if number % -(-len(units) // parts) == 0:
            buffer.write()
    buffer.write()
    return folder


def compacted(folder: Path) -> Path:
    written(folder, 4)
    run = RunFolder(str(folder))
    record = Record.read(run)
    assert record is not None
    compact(run, record, Silent())
    return folder


def former(folder: Path) -> Path:
    """As version 0.1 left it: no record, rows in the order of their making, `combine`."""
    as_former(written(folder, 5))
    for part in (folder / "verdicts").iterdir():
        table = pq.read_table(part)
        names = ["combine" if name == "rule" else name for name in table.column_names]
        shuffled = np.random.default_rng(0).permutation(len(table))
        pq.write_table(table.rename_columns(names).take(shuffled), part)
    (folder / "verdicts" / "torn.parquet").write_bytes(b"PAR1")
    return folder


MADE = {
    "one part": lambda folder: written(folder, 1),
    "parts": lambda folder: written(folder, 5),
    "compacted": compacted,
    "former": former,
}


@pytest.fixture(params=MADE)
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(parquet, "ROWS", 64)
    monkeypatch.setattr(verdict_pieces, "ROWS", 200)
    return str(MADE[request.param](tmp_path / "run"))


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Attacks as the job lists them."""
    place = frame["attack"].map([*ATTACKS].index)
    return frame.iloc[place.argsort(kind="stable")].reset_index(drop=True)


def equal(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, in_order(other), check_exact=True)


def test_the_figures_are_those_of_the_whole_table_to_the_last_bit(run: str) -> None:
    whole = results.read(run, "verdicts", sound=True)
    found = Figures(Reading(run))
    assert len([*found.verdicts.pieces(["step"])]) > 3
    equal(found.curves(targets=True), by_step(whole))
    equal(found.curves(), by_step_and_group(whole))
    for made, rates, loo in (
        (found.targets(), by_target, loo_by_target),
        (found.groups(), by_group, loo_by_group),
    ):
        expected = rates(whole)
        chosen = loo(whole).drop(columns=["n", "n_all"], errors="ignore")
        keys = [name for name in expected if name in chosen]
        beside = expected.merge(chosen[[*keys, "evaluated_steps", *FIGURES]], "left", keys)
        equal(made, beside.astype({"evaluated_steps": "Int64"}))


def test_comparisons_are_those_of_the_whole_table(run: str) -> None:
    whole, found = in_order(results.read(run, "verdicts", sound=True)), Figures(Reading(run))

    def last(label: str) -> pd.DataFrame:
        return found.verdicts.at_last_step(label, COMPARED)

    assert found.attacks == [*ATTACKS]
    assert compared(last, found.attacks, "a/ens") == against(whole, "a/ens")


def test_images_that_stayed_are_counted_over_all_files(run: str) -> None:
    table = Figures(Reading(run)).unmoved()
    assert table.to_dict("records") == [
        {"attack": attack, "cause": "unknown", "count": count, "examples": 12 * count}
        for attack, count in zip(ATTACKS, (5, 5, 4), strict=True)
    ]
