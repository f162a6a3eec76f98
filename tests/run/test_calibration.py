"""Thresholds: by which rule, and on which pairs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from gauntlet import open_run
from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline import results
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run.plan import plan_of
from gauntlet.pipeline.run.rows.thresholds import threshold_columns
from gauntlet.pipeline.run.verifying.checking import check
from tests.toys.remade import column, remade
from tests.toys.reports import gauntlet
from tests.toys.runs import verdicts

JOB = """
name: calibrated
task: {kind: verification, goal: impersonation}
data: {source: rendered, pairs: 20, limit: 2}
calibrate: {source: rendered, pairs: 160, faces: 1}
threshold: {far: 0.05}
surrogates: [zoo/s1]
targets: [{like: s1, white_box: true}]
attacks: [{base: i, epsilon: 4/255, steps: 1}]
resources: {placement: in-process}
"""


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = JOB
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    return str(caught.value)


@pytest.mark.slow
def test_a_threshold_that_was_found_by_another_rule_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))
    found: list[ThresholdRecord] = []
    for rule in ("{far: 0.05}", "accuracy", "{far: 0.05}"):
        path = written(tmp_path, ("threshold: {far: 0.05}", f"threshold: {rule}"))
        launch(load(path), str(tmp_path / f"run{len(found)}"))
        (entry,) = (results.manifest(str(tmp_path / f"run{len(found)}")).thresholds or {}).values()
        found.append(entry)
    assert found[0] == found[2]
    assert found[1].source == "LFW protocol"
    assert found[1].threshold != found[0].threshold
    assert found[1].impostors == 80


def test_what_no_threshold_can_be_found_on_is_refused(tmp_path: Path) -> None:
    few = refusal(written(tmp_path, ("{far: 0.05}", "{far: 0.01}")))
    assert "threshold.far: a false-accept rate of 0.01 needs 368 pairs of different people" in few
    assert "here are 80" in few
    own = written(tmp_path, ("calibrate: {source: rendered, pairs: 160, faces: 1}\n", ""))
    assert "needs 72 pairs of different people or more, here are 10" in refusal(own)
    absent = written(tmp_path, ("{source: rendered, pairs: 160, faces: 1}", "{source: pairs, "
                     "images: nowhere.npz, pairs: nowhere.csv}"))  # fmt: skip
    assert "calibrate." in refusal(absent)


def test_check_says_how_thresholds_are_found(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(written(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "thresholds: false-accept rate 0.05, on pairs of their own: " in result.output


def test_plans_without_either_stay_what_they_were(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ("calibrate: {source: rendered, pairs: 160, faces: 1}\n", ""),
        ("threshold: {far: 0.05}\n", ""),
    )
    assert {"calibrate", "threshold"}.isdisjoint(load(path).what)
    assert load(written(tmp_path)).what["threshold"] == {"far": 0.05}


SEVERAL = ("threshold: {far: 0.05}", "threshold: [{far: 0.05}, accuracy, {far: 0.1}]")
GIVEN = ("[{like: s1, white_box: true}]", "[{like: s1, white_box: true, name: t, threshold: 0.25}, "
         "{like: s1, defence: {kind: bit-reduction, bits: 3}, name: bits}]")  # fmt: skip
FURTHER = ("accuracy", "far_0.1")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run by three rules, one of whose targets has a threshold of its own."""
    folder = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAUNTLET_CACHE", str(folder / "cache"))
        launch(load(written(folder, SEVERAL, GIVEN)), str(folder / "run"))
        yield folder / "run"


def test_a_false_accept_rate_on_pairs_that_are_not_attacked(several: Path) -> None:
    entry = (results.manifest(str(several)).thresholds or {})["bits"]
    assert entry.source == "false-accept rate 0.05"
    assert (entry.pairs, entry.impostors, entry.false_accepts) == (160, 80, 4)
    assert entry.low is not None
    assert entry.high is not None
    assert entry.low <= entry.threshold <= entry.high
    frame = verdicts(several).query("target == 'bits'")
    assert len(frame) == 2
    assert (frame["threshold"] == entry.threshold).all()


def test_each_further_rule_has_its_columns(several: Path) -> None:
    frame, manifest = verdicts(several), results.manifest(str(several))
    assert len(frame) == 4  # one row an example x target, whatever the rules
    assert [*frame.columns][-8:] == [
        f"{name}_{rule}"
        for rule in FURTHER
        for name in ("threshold", "success", "clean_success", "clean_correct")
    ]
    assert [*pd.read_parquet(several / "verdicts").columns] == [*frame.columns]
    rules = frame.groupby("target")["threshold_rule"].agg(set)
    assert rules.to_dict() == {"t": {"given"}, "bits": {"far_0.05"}}
    assert frame.query("target == 't'")["threshold"].eq(0.25).all()
    assert manifest.thresholds is not None
    for rule in FURTHER:
        for target, part in frame.groupby("target"):
            (threshold,) = set(part[f"threshold_{rule}"])
            assert threshold == manifest.thresholds[str(target)].further[rule].threshold
            assert (part[f"success_{rule}"] == (part["score"] > threshold)).all()
            assert (part[f"clean_success_{rule}"] == (part["clean_score"] > threshold)).all()
            assert (part[f"clean_correct_{rule}"] == (part["clean_score"] <= threshold)).all()


def test_the_table_of_thresholds_is_what_the_pairs_say(several: Path) -> None:
    table = results.read(str(several), "thresholds")
    assert [*zip(table["target"], table["threshold_rule"], table["headline"], strict=True)] == [
        ("bits", "accuracy", False), ("bits", "far_0.05", True), ("bits", "far_0.1", False),
        ("t", "accuracy", False), ("t", "far_0.1", False), ("t", "given", True),
    ]  # fmt: skip
    assert table["impostors"].eq(80).all()
    assert table["genuine"].eq(80).all()
    assert table.groupby("target")["equal_error_rate"].nunique().eq(1).all()
    at_rate = table[table["threshold_rule"].str.startswith("far")]
    # 4 and 8 of 80, unless equal scores leave fewer: as close as so many pairs come.
    assert at_rate["false_accept_rate"].tolist() == [0.05, 0.1, 0.1]
    assert (at_rate["threshold_low"] < at_rate["threshold"]).all()
    assert (at_rate["threshold"] < at_rate["threshold_high"]).all()
    assert table.loc[~table.index.isin(at_rate.index), "threshold_low"].isna().all()
    assert (table["false_accept_low"] <= table["false_accept_rate"]).all()
    assert (table["false_accept_rate"] < table["false_accept_high"]).all()
    pd.testing.assert_frame_equal(pd.read_parquet(several / "thresholds"), table)
    pd.testing.assert_frame_equal(open_run(several).thresholds, table)


def test_a_run_by_several_rules_is_verified_and_mended(several: Path, tmp_path: Path) -> None:
    whole = ["verify", str(several), "--sample", "1"]
    result = CliRunner().invoke(app, whole)
    assert result.exit_code == 0, result.output
    run = Path(shutil.copytree(several, tmp_path / "run"))
    before = results.read(str(run), "thresholds")
    (run / "thresholds" / "targets.parquet").unlink()
    assert "thresholds/targets.parquet is missing" in RunFolder(str(run)).damage().line
    launch(plan_of(str(run)), str(run), resume=True)
    assert not RunFolder(str(run)).damage(whole=True)
    pd.testing.assert_frame_equal(results.read(str(run), "thresholds"), before)
    # Remade together with its checksum, it is still not what the record found.
    remade(run, lambda table, rows: column(rows, "threshold", lambda values: values.reverse())
           if table == "thresholds" else rows)  # fmt: skip
    told = check(RunFolder(str(run)), Silent()).problems
    assert [str(problem) for problem in told] == [
        "thresholds: has other thresholds than the record"
    ]


def test_a_report_says_the_success_at_each_threshold(several: Path, tmp_path: Path) -> None:
    csv = tmp_path / "rates.csv"
    result = gauntlet("report", str(several), "--csv", str(csv), "--html", str(tmp_path / "r.html"))
    assert result.exit_code == 0, result.output
    assert "success % by the rule of the threshold, groups" in result.output
    rates = pd.read_csv(csv).query("level == 'target'").set_index(["threshold_rule", "target"])
    frame = verdicts(several)
    for rule in FURTHER:
        for target, part in frame.groupby("target"):
            right = part[part[f"clean_correct_{rule}"].astype(bool)]
            assert rates.loc[(rule, target), "n"] == len(right)
            assert rates.loc[(rule, target), "success"] == right[f"success_{rule}"].mean()
            assert rates.loc[(rule, target), "success_all"] == part[f"success_{rule}"].mean()
    assert set(rates.index.get_level_values(0)) == {"given, far_0.05", *FURTHER}
    page = (tmp_path / "r.html").read_text()
    assert "<h2>Success by the rule of the threshold</h2>" in page
    assert page.count("<td>far_0.1</td>") == 2  # in the table of thresholds, a row a target


@pytest.mark.slow
def test_rows_by_several_rules_are_those_of_each_alone_and_of_every_placement(
    several: Path, tmp_path: Path
) -> None:
    expected, table = verdicts(several), results.read(str(several), "thresholds")
    packed = ("placement: in-process", "placement: packed, workers: 1")
    launch(load(written(tmp_path, SEVERAL, GIVEN, packed)), str(tmp_path / "packed"))
    found = verdicts(tmp_path / "packed")
    pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(results.read(str(tmp_path / "packed"), "thresholds"), table)
    alone = ("threshold: {far: 0.05}", "threshold: accuracy")
    launch(load(written(tmp_path, alone, GIVEN)), str(tmp_path / "alone"))
    accuracy = verdicts(tmp_path / "alone").query("target == 'bits'")
    both = expected.query("target == 'bits'")
    for name in ("threshold", "success", "clean_success", "clean_correct"):
        assert accuracy[name].tolist() == both[f"{name}_accuracy"].tolist()
    assert accuracy["score"].tolist() == both["score"].tolist()


def test_a_rule_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    twice = ("{far: 0.05}", "[{far: 0.05}, accuracy, {far: 5e-2}]")
    assert "threshold: the rule false-accept rate 0.05 is listed twice" in refusal(
        written(tmp_path, twice)
    )
    few = refusal(written(tmp_path, ("{far: 0.05}", "[accuracy, {far: 0.01}]")))
    assert "threshold[1].far: a false-accept rate of 0.01 needs 368 pairs" in few
    alone = load(written(tmp_path, ("{far: 0.05}", "[{far: 0.05}]")))
    assert alone == load(written(tmp_path))


def test_thresholds_of_earlier_versions_are_rows_too() -> None:
    former = ThresholdRecord(source="LFW protocol", pairs=6, threshold=0.5, accuracy=1.0)
    columns = threshold_columns(["t", "classifier"], {"t": former})
    assert {name: column[0] for name, column in columns.items() if column[0] is not None} == {
        "target": "t", "threshold_rule": "accuracy", "headline": True, "threshold": 0.5,
        "accuracy": 1.0,
    }  # fmt: skip
    assert threshold_columns(["t"], {}) == {}
