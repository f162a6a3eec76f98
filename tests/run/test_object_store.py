"""Whole runs on an object store: the same rows as on a disk, whatever fails on the way."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from gauntlet.actors.launch import launch
from gauntlet.jobs.cli.app import app
from gauntlet.jobs.cli.folders import new_run_folder
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline import results
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder, object_store
from gauntlet.pipeline.results.compaction import compact
from gauntlet.pipeline.results.holder import Holder
from gauntlet.pipeline.results.lock import SILENCE, LockLost
from gauntlet.pipeline.results.patience import StorageFailed
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.run_log import log_of
from gauntlet.pipeline.run.plan import Plan, plan_of
from tests.toys import jobs, stores
from tests.toys.stores import BUCKET, Asked, Fault, Store, nth

TWO = "  - {base: i, epsilon: 8/255, steps: 1}\n  - {base: mi, epsilon: 8/255, steps: 2}"
CHANGES = (jobs.attacks(TWO), ("batch: 4", "batch: 2, part_seconds: 0"))
"""Eight units of work, each of which is a part of its own."""


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})


@pytest.fixture(scope="module")
def serving() -> Iterator[Store]:
    with stores.serving() as store:
        yield store


@pytest.fixture
def store(serving: Store) -> Iterator[Store]:
    yield serving
    serving.heal()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return jobs.write(tmp_path_factory.mktemp("job"), *CHANGES)


@pytest.fixture(scope="module")
def plan(job: Path) -> Plan:
    return load(job)


@pytest.fixture(scope="module")
def on_disk(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The tables of the same job on a disk, as the bytes of their files."""
    folder = tmp_path_factory.mktemp("disk") / "run"
    launch(plan, str(folder))
    return {f"{p.parent.name}/{p.name}": p.read_bytes() for p in folder.rglob("*.parquet")}


def tables(store: Store, run: str) -> dict[str, bytes]:
    found = store.objects(run.removeprefix(f"s3://{BUCKET}/"))
    return {name: content for name, content in found.items() if name.endswith(".parquet")}


def parts(asked: Asked) -> bool:
    return asked.method == "PUT" and "/_parts/" in asked.path


def entries(asked: Asked) -> bool:
    return asked.method == "PUT" and "/record/" in asked.path


@pytest.fixture(scope="module")
def finished(job: Path, serving: Store) -> tuple[str, list[Asked], str, str]:
    """A run by a user with the rights that the documents list: what it asked, said, and whose."""
    run = f"s3://{BUCKET}/runs/finished"
    page = (Path(jobs.__file__).parents[2] / "docs" / "storage.md").read_text()
    key, secret = serving.user(*re.findall(r"`(s3:\w+)`", page))
    serving.asked.clear()
    with pytest.MonkeyPatch.context() as patch, serving.looking():
        patch.setenv("AWS_ACCESS_KEY_ID", key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        done = gauntlet("run", str(job), "--out", run)
    object_store.opened.cache_clear()
    assert done.exit_code == 0, done.output
    return run, [*serving.asked], done.output, secret


def test_a_run_on_an_object_store_leaves_the_bytes_of_one_on_a_disk(finished, store, on_disk):
    run, *_ = finished
    assert tables(store, run) == on_disk
    assert not RunFolder(run).damage(whole=True)
    objects = store.objects("runs/finished")
    assert {name.partition("/")[0] for name in objects} == {
        *("examples", "verdicts", "traces", "record"),
        *("plan.json", "manifest.json", "selection.json", "run.log"),
    }


def test_a_run_is_reported_and_read_by_pandas(finished, store):
    run, *_ = finished
    report = gauntlet("report", run)
    assert report.exit_code == 0, report.output
    assert "nothing left to do" in gauntlet("resume", run).stderr
    verified = gauntlet("verify", run, "--sample", "1")
    assert verified.exit_code == 0, verified.output
    assert "1 of 8 units, computed again" in verified.stdout
    taken = gauntlet("run", "quickstart", "--out", run)
    assert taken.exit_code == 2
    assert f"holds a finished run already; see it with `gauntlet report {run}`" in taken.stderr
    assert len(results.read(run, "verdicts")) == 16
    where = f"{run}/verdicts?endpoint_override={store.host}&scheme=http&region=us-east-1"
    assert pq.read_table(where).num_rows == 16


def test_small_objects_are_written_in_one_request(finished):
    _, asked, *_ = finished
    assert not [request.text for request in asked if "uploads" in request.query]
    assert not [request.text for request in asked if request.path.endswith("/")]


def test_no_credentials_are_written_or_printed(finished, store):
    _, _, output, secret = finished
    said = output.encode() + b"".join(store.objects("runs/finished").values())
    assert secret.encode() not in said


def test_parts_lie_aside_until_they_are_compacted(plan, store, on_disk, monkeypatch):
    run = f"s3://{BUCKET}/runs/parts"
    with monkeypatch.context() as patch:
        patch.setattr("gauntlet.pipeline.run.runner.compact", lambda *_, **__: [])
        launch(plan, run)
    names = [*tables(store, run)]
    assert len([name for name in names if name.startswith("_parts/verdicts/")]) == 8
    assert all(name.startswith("_parts/") for name in names)
    assert len(results.read(run, "verdicts")) == 16
    folder = RunFolder(run)
    record = Record.read(folder)
    assert record is not None
    compact(folder, record, Silent())
    assert tables(store, run) == on_disk
    name = next(name for name in on_disk if name.startswith("traces/"))
    store.s3.delete_object(Bucket=BUCKET, Key=f"runs/parts/{name}")
    assert f"{name} is missing" in RunFolder(run).damage().line
    launch(plan_of(run), run, resume=True)
    assert tables(store, run) == on_disk


def test_requests_that_fail_once_lose_and_double_no_row(plan, store, on_disk):
    run, met = f"s3://{BUCKET}/runs/faults", []
    faults: list[Fault] = [
        *(nth(fault, [n], parts) for n, fault in enumerate(("503", "lost", "mute", "slow"))),
        *(nth(fault, [n], entries) for n, fault in ((1, "mute"), (3, "503"), (5, "lost"))),
        nth("mute", [0], lambda asked: asked.path.endswith("lock.json") and asked.conditional),
        nth("503", [0, 2], lambda asked: asked.method == "POST"),
    ]

    def fault(asked: Asked) -> str | None:
        found = [what for happens in faults if (what := happens(asked))]
        met.extend(found)
        return found[0] if found else None

    store.fault = fault
    outcome = launch(plan, run)
    assert outcome.units_failed == 0
    assert len(met) == 10
    assert tables(store, run) == on_disk


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["packed", "pinned"])
def test_processes_that_write_to_the_bucket_lose_and_double_no_row(
    placement, plan, store, tmp_path
):
    resources = plan.resources.model_copy(update={"placement": placement, "threads": 1})
    spread = plan.model_copy(update={"resources": resources})
    run, met = f"s3://{BUCKET}/runs/{placement}", []
    faults = [nth(fault, [n], parts) for n, fault in enumerate(("503", "lost", "mute", "slow"))]

    def fault(asked: Asked) -> str | None:
        found = [what for happens in faults if (what := happens(asked))]
        met.extend(found)
        return found[0] if found else None

    store.fault = fault
    outcome = launch(spread, run)
    assert (outcome.units_done, outcome.units_failed, len(met)) == (8, 0, 4)
    assert "by the driver" not in log_of(RunFolder(run))
    launch(spread, str(tmp_path / "run"))
    for table in ("examples", "verdicts", "traces"):
        one, other = (rows(where, table) for where in (run, str(tmp_path / "run")))
        assert one.equals(other), table


def rows(run: str, table: str) -> pd.DataFrame:
    frame = results.read(run, table)
    keys = [name for name in ("example", "attack", "target", "step") if name in frame]
    return frame.sort_values(keys).reset_index(drop=True)


@pytest.mark.slow
def test_whatever_ends_a_run_it_goes_on(plan, store, on_disk, monkeypatch):
    run = f"s3://{BUCKET}/runs/ended"
    a_part_cannot_be_written(plan, run, store, monkeypatch)
    another_driver_takes_it_over(run, store)
    killed = a_driver_is_killed(run, store)
    done = gauntlet("resume", run)
    assert done.exit_code == 0, done.output
    assert f"took the run over from process {killed} on " in done.output
    assert tables(store, run) == on_disk


def a_part_cannot_be_written(plan, run, store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(object_store, "_ATTEMPTS", 2)
        object_store.opened.cache_clear()
        store.fault = nth("503", range(9, 99), parts)
        hurried = plan.resources.model_copy(update={"storage_patience_s": 0.0})
        with pytest.raises(StorageFailed, match="Please slow down"):
            launch(plan.model_copy(update={"resources": hurried}), run)
    object_store.opened.cache_clear()
    store.heal()
    assert len(RunFolder(run).finished()) < 8


def another_driver_takes_it_over(run, store):
    """The lease is lost: nothing more is recorded, and the other one's time is waited for."""
    other = Holder.here().model_copy(update={"machine": "node7", "host": "node7", "process": 9})
    before: dict[str, bytes] = {}
    second = nth("now", [1], parts)

    def fault(asked: Asked) -> str | None:
        if second(asked):
            store.s3.put_object(Bucket=BUCKET, Key="runs/ended/lock.json", Body=other.content)
            before.update(store.objects("runs/ended/record"))
        return None

    store.fault = fault
    with pytest.raises(LockLost, match=r"has taken this run over \(process 9 on node7"):
        launch(plan_of(run), run, resume=True)
    store.heal()
    assert store.objects("runs/ended/record") == before
    assert store.objects("runs/ended")["lock.json"] == other.content
    with pytest.raises(BadInput, match=r"process 9 on node7, begun \d+ s ago is at work"):
        launch(plan_of(run), run, resume=True)
    store.age("runs/ended/lock.json", timedelta(seconds=SILENCE + 1))


def a_driver_is_killed(run, store):
    command = [sys.executable, "-m", "gauntlet", "resume", run]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    second = nth("now", [1], parts)

    def fault(asked: Asked) -> str | None:
        if second(asked):
            process.kill()
        return None

    store.fault = fault
    said, _ = process.communicate()
    store.heal()
    assert process.returncode == -9, said
    assert "took the run over from process 9 on node7" in said
    return process.pid


@pytest.fixture
def writer(serving: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The user of this process may not delete, and the store looks who asks; its secret."""
    key, secret = serving.user("s3:PutObject", "s3:GetObject", "s3:ListBucket")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    object_store.opened.cache_clear()
    with serving.looking():
        yield secret
    object_store.opened.cache_clear()


def refusal(job: Path, run: str) -> str:
    """What is said of a run that is refused before its models are built."""
    done = gauntlet("run", str(job), "--out", run)
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    return line


def test_without_a_bucket_a_run_is_refused(job, store):
    line = refusal(job, "s3://absent/runs/x")
    assert line.startswith("s3://absent/runs/x")
    assert f": there is no bucket absent at {store.host}: create it, or check its name" in line
    for command in ("report", "resume"):
        assert "there is no bucket absent" in gauntlet(command, "s3://absent/runs/x").stderr


def test_where_nothing_answers_a_run_is_refused(job, store):
    run = "s3://bucket/runs/x?endpoint_override=127.0.0.1:9&scheme=http"
    assert f"{run}: nothing answers at 127.0.0.1:9: check the network, and the" in refusal(job, run)


def test_without_the_right_to_delete_a_run_is_refused(job, store, writer):
    line = refusal(job, "s3://bucket/runs/undeletable")
    assert "the credentials have no right to do this: docs/storage.md lists the rights" in line
    assert "DeleteObject" in line
    assert writer not in line


def test_wrong_credentials_are_refused(job, store, writer, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    line = refusal(job, "s3://bucket/runs/x")
    assert f"{store.host} does not take the credentials: check AWS_ACCESS_KEY_ID and" in line
    object_store.opened.cache_clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    assert "does not take the credentials: check AWS" in refusal(job, "s3://bucket/runs/x")


def test_a_new_run_folder_keeps_what_the_address_ends_with(store):
    output = f"s3://bucket/runs/?endpoint_override={store.host}&scheme=http"
    folder = new_run_folder("name", output, None)
    assert folder.startswith("s3://bucket/runs/name-")
    assert folder.endswith(f"?endpoint_override={store.host}&scheme=http")
