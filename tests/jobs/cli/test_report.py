"""What a report shows of verdicts at one and at several steps, and of several runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gauntlet.jobs.reports.grid import spread
from gauntlet.jobs.reports.seeds import over_runs
from gauntlet.jobs.reports.summary import summary
from gauntlet.pipeline.evaluation.leave_one_out import leave_one_out
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import TABLES, RunFolder
from tests.toys.reports import STEPS, N, gauntlet, success_table, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("report") / "once", steps=1)


def test_trap_19_the_leave_one_out_choice_is_named_and_beside_the_last_step(run: Path) -> None:
    table = summary(str(run))
    row = table.query("level == 'target' and attack == 'mi' and target == 't1'").iloc[0]
    drawn = success_table(11)
    assert row["success_all"] == drawn[:, -1].mean()
    assert row["loo_all"] == leave_one_out(drawn).rate
    right = drawn[[i % 4 != 0 for i in range(N)]]
    assert row["success"] == pytest.approx(right[:, -1].mean())
    assert row["loo"] == leave_one_out(right).rate
    assert row["loo_all"] > row["success_all"] + 0.1
    assert row["evaluated_steps"] == STEPS
    assert "--long has the other figures" in " ".join(gauntlet("report", str(run)).stdout.split())
    shown = gauntlet("report", str(run), "--long").stdout
    heading = next(line for line in shown.splitlines() if "success %" in line)
    assert "LOO %" in heading
    assert "LOO (leave-one-out)" in shown
    assert "after the last update" in " ".join(shown.split())


def test_attacks_without_a_common_target_are_not_compared(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    for name in ("i-t0", "mi-t1"):
        (run / "verdicts" / f"{name}.parquet").unlink()
    result = gauntlet("report", str(run), "--against", "i")
    assert result.exit_code == 0, result.output
    assert "no target judged two attacks on the same examples: nothing to compare" in result.stdout


def test_no_leave_one_out_where_only_the_last_step_was_judged(once: Path) -> None:
    table = summary(str(once))
    assert table["loo"].isna().all()
    result = gauntlet("report", str(once), "--steps")
    assert result.exit_code == 0, result.output
    assert "LOO" not in result.stdout
    assert "only the last step was judged" in result.stdout


def test_success_against_the_step(run: Path, tmp_path: Path) -> None:
    result = gauntlet("report", str(run), "--steps", "--targets", "--csv", str(tmp_path / "s.csv"))
    assert result.exit_code == 0, result.output
    assert f"10 of {STEPS} judged steps" in result.stdout
    assert "success % against the step" in result.stdout
    table = pd.read_csv(tmp_path / "s.csv")
    one = table.query("level == 'target' and attack == 'i' and target == 't0'")
    assert one["step"].tolist() == list(range(1, STEPS + 1))
    assert one["success_all"].tolist() == pytest.approx(success_table(0).mean(0).tolist())
    assert (table["level"] == "group").sum() == 2 * STEPS


def test_shown_steps_are_spread_from_first_to_last() -> None:
    assert spread([1, 2, 3], 10) == [1, 2, 3]
    found = spread(list(range(1, 101)), 10)
    assert found[0] == 1
    assert found[-1] == 100
    assert len(found) == 10
    assert set(np.diff(found)) == {11}


def test_transfer_utility_is_in_the_summary(run: Path) -> None:
    table = summary(str(run))
    assert set(table["transfer_utility"]) == {2.5, 3.5}
    shown = gauntlet("report", str(run), "--long").stdout
    assert "utility" in shown
    assert "score - clean_score" in " ".join(shown.split())


def test_mean_and_deviation_over_runs(tmp_path: Path) -> None:
    runs = [str(write_run(tmp_path / f"run-{seed}", seed=seed)) for seed in (0, 1, 2)]
    frame = over_runs(runs)
    row = frame.query("level == 'target' and attack == 'i' and target == 't1'").iloc[0]
    last = [success_table(100 * seed + 1)[:, -1].mean() for seed in (0, 1, 2)]
    loo = [leave_one_out(success_table(100 * seed + 1)).rate for seed in (0, 1, 2)]
    assert row["runs"] == 3
    assert row["success_all_mean"] == pytest.approx(np.mean(last))
    assert row["success_all_sd"] == pytest.approx(np.std(last, ddof=1))
    assert row["loo_all_mean"] == pytest.approx(np.mean(loo))
    assert row["loo_all_sd"] == pytest.approx(np.std(loo, ddof=1))
    result = gauntlet("report", *runs, "--csv", str(tmp_path / "seeds.csv"))
    assert result.exit_code == 0, result.output
    assert "mean ± standard deviation" in result.stdout
    group = frame.query("level == 'group' and attack == 'i'").iloc[0]
    words = f"{100 * group['success_mean']:.1f} ± {100 * group['success_sd']:.1f}"
    assert words in result.stdout
    assert words in gauntlet("report", *runs, "--format", "markdown", "--targets").stdout
    written = pd.read_csv(tmp_path / "seeds.csv")
    assert len(written) == len(frame) == 2 + 4


def test_runs_that_cannot_be_averaged(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", seed=1)
    same = write_run(tmp_path / "same", seed=1)
    short = write_run(tmp_path / "short", seed=2, attacks=("i",))
    other = write_run(tmp_path / "other", seed=3)
    text = json.loads((other / "plan.json").read_text())
    text["evaluate"]["quantize"] = False
    (other / "plan.json").write_text(json.dumps(text))
    with pytest.raises(BadInput, match=r"same: has the seed 1 of .*one"):
        over_runs([str(one), str(same)])
    with pytest.raises(BadInput, match=r"other: is not a run of the same job .* evaluate differ"):
        over_runs([str(one), str(other)])
    with pytest.raises(BadInput, match="'mi' on 'normal' has figures in 1 of 2 runs"):
        over_runs([str(one), str(short)])
    with pytest.raises(BadInput, match="two runs or more"):
        over_runs([str(one)])
    for damaged in (tmp_path / "three", tmp_path / "four"):
        write_run(damaged, seed=len(damaged.name))
        (damaged / "plan.json").write_text(f'{{"seed": {len(damaged.name)}}}')
    with pytest.raises(BadInput, match=r"three/plan\.json: .*put it back from a copy"):
        over_runs([str(tmp_path / "three"), str(tmp_path / "four")])
    result = gauntlet("report", str(one), str(other), "--long", "--values", "passes")
    assert "--long, --values: are for one run; several runs were given" in result.stderr
    result = gauntlet("report", str(one), str(other), "--steps", "--html", "x.html")
    assert result.exit_code == 2
    assert "--steps, --html: are for one run" in result.stderr
    result = gauntlet("report", str(one), str(other), "--steps")
    assert "--steps: is for one run" in result.stderr
    assert "are for one run only" in " ".join(gauntlet("report", "--help").stdout.split())
    missing = gauntlet("report", str(one), str(tmp_path / "nothing"))
    assert missing.exit_code == 2
    assert "no run here" in missing.stderr


@pytest.mark.parametrize(
    ("option", "value", "what"),
    [
        ("--against", "ii", "--against: unknown attack 'ii'"),
        ("--csv", "{tmp}", "--csv: {tmp} is a folder; expected a file"),
        ("--html", "{tmp}", "--html: {tmp} is a folder; expected a file"),
        ("--html", "{tmp}/file/x.html", "--html: {tmp}/file is a file; expected a folder"),
        ("--plots", "{tmp}/file", "--plots: {tmp}/file is a file; expected a folder"),
    ],
)
def test_wrong_options_are_named_before_the_table(
    run: Path, tmp_path: Path, option: str, value: str, what: str
) -> None:
    (tmp_path / "file").touch()
    new = tmp_path / "new" / "rates.csv"
    others = () if option == "--csv" else ("--csv", str(new))
    result = gauntlet("report", str(run), *others, option, value.format(tmp=tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith(what.format(tmp=tmp_path))
    assert result.stdout == ""
    assert not new.parent.exists()


def test_a_write_that_fails_names_its_option(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gauntlet.jobs.reports.summary.write_csv", full)
    result = gauntlet("report", str(run), "--csv", "rates.csv")
    assert result.exit_code == 2
    assert result.stderr == "--csv: No space left on device\n"


def test_folders_of_outputs_are_made(once: Path, tmp_path: Path) -> None:
    outputs = {"--csv": "a/b/r.csv", "--html": "c/r.html", "--plots": "d/e"}
    asked = [word for name, path in outputs.items() for word in (name, str(tmp_path / path))]
    result = gauntlet("report", str(once), *asked)
    assert result.exit_code == 0, result.output
    assert all((tmp_path / path).exists() for path in outputs.values())


def test_one_attack_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    alone = write_run(tmp_path / "alone", steps=1, attacks=("i",))
    result = gauntlet("report", str(alone), "--against", "i")
    assert result.exit_code == 2
    assert result.stderr == "--against: only 'i' was judged; no other attack to compare with\n"


@pytest.mark.parametrize("verb", ["report", "pictures"])
def test_what_is_there_instead_of_a_run_is_said(tmp_path: Path, verb: str) -> None:
    def told(place: Path) -> str:
        result = gauntlet(verb, str(place), *(("--out", "x.png") if verb == "pictures" else ()))
        assert result.exit_code == 2
        return result.stderr.removeprefix(f"{place}: no run here: ").rstrip()

    assert told(tmp_path / "nothing") == "no such folder"
    (tmp_path / "file").touch()
    assert told(tmp_path / "file") == "is a file; expected the run's folder"
    assert told(tmp_path) == "plan.json is missing"
    for number in range(6):
        (tmp_path / f"run-{number}").mkdir()
        (tmp_path / f"run-{number}" / "plan.json").touch()
    newest = ", ".join(f"{tmp_path}/run-{number}" for number in range(1, 6))
    assert told(tmp_path) == f"plan.json is missing; runs here: ..., {newest}"


def test_only_the_columns_that_are_asked_for_are_read(run: Path) -> None:
    folder = RunFolder(str(run))
    assert folder.table("verdicts", ["step", "success"]).column_names == ["step", "success"]
    assert folder.table("interactions", ["l2"]).column_names == ["l2"]
    assert folder.table("interactions").column_names == TABLES["interactions"].names


def test_reports_wait_for_neither_torch_nor_ray(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "seed-1", seed=1)
    words = [
        ["report", str(run), "--targets", "--steps", "--against", "i"],
        ["report", str(run), "--csv", str(tmp_path / "a.csv"), "--html", str(tmp_path / "a.html")],
        ["report", str(run), "--plots", str(tmp_path / "plots")],
        ["report", str(run), str(other), "--csv", str(tmp_path / "b.csv")],
    ]
    program = (
        "import sys\n"
        "from gauntlet.jobs.cli.app import app\n"
        f"for words in {words}:\n"
        "    app(words, standalone_mode=False)\n"
        "heavy = {'torch', 'ray', 'scipy.stats'} & {*sys.modules}\n"
        "print(sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("[]\n")
    assert (tmp_path / "b.csv").exists()
