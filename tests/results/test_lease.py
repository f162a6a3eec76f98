"""Runs on object stores are held by a lease: one driver, whatever stores and networks do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results import lock as locks
from gauntlet.pipeline.results.conditional import ConditionalStore
from gauntlet.pipeline.results.holder import Holder
from gauntlet.pipeline.results.lease import Lease
from gauntlet.pipeline.results.lock import SILENCE, Lock, LockLost, is_held
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.entries import Repair
from gauntlet.pipeline.results.storage import Storage
from tests.toys import stores
from tests.toys.stores import BUCKET, Asked, Store, nth

RUN = f"s3://{BUCKET}/runs/leased"


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with stores.serving() as store:
        yield store


@pytest.fixture
def run(store: Store) -> Iterator[Storage]:
    yield Storage(RUN)
    store.heal()
    for name in store.objects("runs/leased"):
        store.s3.delete_object(Bucket=BUCKET, Key=f"runs/leased/{name}")


def elsewhere(**fields: Any) -> Holder:
    """A driver on another machine."""
    return Holder.here().model_copy(update={"machine": "node7", "host": "node7"} | fields)


def lease(run: Storage) -> Lease:
    assert run.conditional is not None
    return Lease(run.conditional, "lock.json", lambda text: None)


def put(store: Store, holder: Holder) -> None:
    store.s3.put_object(Bucket=BUCKET, Key="runs/leased/lock.json", Body=holder.content)


def test_a_second_driver_is_refused_and_told_of_the_first(run: Storage) -> None:
    with Lock(run) as lock:
        lock.check()
        assert is_held(run)
        with pytest.raises(BadInput, match=rf"process {os.getpid()} on \S+, begun \d+ s ago is at"):
            Lock(Storage(RUN)).__enter__()
    assert not is_held(run)
    assert not run.exists("lock.json")


def test_a_dead_process_of_this_machine_is_taken_over_at_once(run: Storage, store: Store) -> None:
    put(store, Holder.here().model_copy(update={"born": "1", "process": 1}))
    notes: list[str] = []
    with Lock(run, notes.append) as lock:
        lock.check()
    (note,) = notes
    assert note.startswith("took the run over from process 1 on ")


def test_a_driver_elsewhere_holds_a_run_until_its_lease_is_old(run: Storage, store: Store) -> None:
    put(store, elsewhere(process=7))
    with pytest.raises(BadInput, match=r"process 7 on node7, begun \d+ s ago is at work"):
        Lock(run).__enter__()
    store.age("runs/leased/lock.json", timedelta(seconds=SILENCE + 2))
    notes: list[str] = []
    with Lock(run, notes.append) as lock:
        lock.check()
    (note,) = notes
    assert note.startswith("took the run over from process 7 on node7, begun ")


def test_age_is_told_by_the_clock_of_the_store(
    run: Storage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, elsewhere())
    store.age("runs/leased/lock.json", timedelta(seconds=60))
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert 59 <= (lease(run).age() or 0) <= 75
    assert [*store.objects("runs/leased")] == ["lock.json"]


def test_of_two_that_judge_the_same_lease_one_takes_it_over(run: Storage, store: Store) -> None:
    put(store, elsewhere())
    one, other = lease(run), lease(run)
    assert one.read() == other.read()
    assert other.take_over(Holder.here())
    assert not one.take_over(Holder.here())


def test_of_two_that_begin_at_once_one_takes_the_lease(run: Storage, store: Store) -> None:
    first = Holder.here()

    def comes_between(asked: Asked) -> None:
        if asked.conditional:
            store.heal()
            assert lease(run).take(first)

    store.fault = comes_between
    assert not lease(run).take(Holder.here())
    assert lease(run).read() == first.model_copy(update={"beats": 0})


def test_a_sign_of_life_is_seen_by_who_judged_before_it(run: Storage) -> None:
    mine, judge = Holder.here(), lease(run)
    holder = lease(run)
    assert holder.take(mine)
    judge.read()
    assert holder.renew(mine)
    assert not judge.take_over(Holder.here())
    assert holder.renew(mine)


def test_a_driver_that_lost_its_lease_records_nothing_more(run: Storage, store: Store) -> None:
    with Lock(run) as lock:
        record = Record(run)
        record.guard = lock.check
        record.append(Repair())
        put(store, elsewhere(process=9))
        with pytest.raises(LockLost, match=r"another driver has taken this run over \(process 9"):
            record.append(Repair())
        assert not lease(run).renew(Holder.here())
    assert [*store.objects("runs/leased")] == ["lock.json", "record/000000.json"]


def test_an_entry_that_another_driver_wrote_is_not_overwritten(run: Storage, store: Store) -> None:
    late, other = Record(run), Record(run)
    other.append(Repair(units=("theirs",)))
    with pytest.raises(FileExistsError, match="another driver is at work on this run"):
        late.append(Repair(units=("ours",)))
    assert b"theirs" in store.objects("runs/leased")["record/000000.json"]


def test_the_lease_is_renewed(run: Storage, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with Lock(run) as lock:
        while json.loads(store.objects("runs/leased")["lock.json"])["beats"] < 2:
            lock.check()
    assert not store.objects("runs/leased")


@pytest.mark.parametrize("fault", ["503", "lost", "mute"])
def test_requests_whose_answers_are_lost_are_told_right(run: Storage, store: Store, fault) -> None:
    mine, held = Holder.here(), lease(run)
    store.fault = nth(fault, [0], lambda asked: asked.conditional)
    assert held.take(mine)
    store.fault = nth(fault, [0], lambda asked: asked.conditional)
    assert held.renew(mine)
    assert held.renew(mine)


def test_a_store_that_keeps_no_conditions_is_said(run: Storage, store: Store) -> None:
    notes: list[str] = []
    store.keeps_conditions = False
    with Lock(run, notes.append) as lock:
        lock.check()
        with pytest.raises(BadInput, match="is at work on this run"):
            Lock(Storage(RUN)).__enter__()
    (note,) = notes
    assert note.startswith("this store writes whatever the condition: nothing keeps a second")


def test_without_obstore_a_run_is_refused_and_read(
    run: Storage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, elsewhere())
    monkeypatch.setitem(sys.modules, "obstore", None)
    here = Storage(RUN)
    assert here.obstacle() == (
        "a run on an object store needs obstore, which keeps a second driver away from it: "
        "pip install 'gauntlet[cluster]'"
    )
    with pytest.raises(BadInput, match="needs obstore"):
        Lock(here)
    assert is_held(here)
    assert here.exists("lock.json")


def test_keys_of_a_profile_are_used(run: Storage, store: Store, tmp_path, monkeypatch) -> None:
    file = tmp_path / "credentials"
    keys = "\n".join(f"{name.lower()} = {value}" for name, value in stores.KEYS.items())
    file.write_text(f"[default]\naws_access_key_id = no\n[lab]\n{keys}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    for name in stores.KEYS:
        monkeypatch.delenv(name)
    store.asked.clear()
    assert run.remote is not None
    assert ConditionalStore(run.remote).create("seen", b"1")
    assert stores.KEYS["AWS_ACCESS_KEY_ID"] in store.asked[-1].authorization
