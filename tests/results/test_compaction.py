"""Compaction: few sorted files, always the same, whatever they were made from or interrupted by."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder, merging, parquet
from gauntlet.pipeline.results.compaction import compact
from gauntlet.pipeline.results.record.damage import examine
from gauntlet.pipeline.results.record.mending import mend
from gauntlet.pipeline.results.schema import ORDER, TABLES
from gauntlet.pipeline.results.sized_files import Sizes
from tests.toys.rows import ATTACKS, TARGETS, committed, contents, opened, sorted_rows

SMALL = Sizes(least=20_000, most=60_000)


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def test_the_same_rows_give_the_same_files_however_they_were_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 50)
    monkeypatch.setattr(parquet, "PIXEL_ROWS", 10)
    found = []
    for seed, (parts, at_a_time) in enumerate([(1, 64), (5, 64), (12, 3), (30, 8)]):
        monkeypatch.setattr(merging, "RUNS", at_a_time)
        run, record = committed(tmp_path / str(seed), parts, seed)
        before = {table: sorted_rows(run, table) for table in ORDER}
        compact(run, record, Silent(), SMALL)
        for table, rows in before.items():
            pd.testing.assert_frame_equal(run.table(table).to_pandas(), rows)
        assert not run.damage(whole=True)
        assert not Path(run.location, "_parts").exists()
        found.append(contents(run))
    assert len([name for name in found[0] if name.startswith("examples/")]) >= 3
    assert all(files == found[0] for files in found)


def test_a_file_ends_with_its_attack_where_it_is_large_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PIXEL_ROWS", 10)
    run, record = committed(tmp_path)
    compact(run, record, Silent(), Sizes(least=20_000, most=10**9))
    assert [f.attacks for f in record.files.values() if f.name.startswith("examples/")] == [
        (attack,) for attack in ATTACKS
    ]
    assert [f.attacks for f in record.files.values() if f.name.startswith("failures/")] == [ATTACKS]


def test_a_compacted_run_is_left_alone(tmp_path):
    run, record = committed(tmp_path)
    changes = compact(run, record, Silent())
    assert [(c.table, *c.files) for c in changes] == [
        (table, 5, 1) for table in ("examples", "verdicts", "traces", "failures")
    ]
    before, entries = contents(run), os.listdir(tmp_path / "record")
    assert compact(run, record, Silent()) == []
    assert (contents(run), os.listdir(tmp_path / "record")) == (before, entries)


def test_filters_on_attack_and_target_read_only_their_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 48)
    run, record = committed(tmp_path)
    compact(run, record, Silent())
    (path,) = (tmp_path / "verdicts").iterdir()
    wanted = (pc.field("attack") == "b/rgea") & (pc.field("target") == "t2")
    (fragment,) = ds.dataset(path).get_fragments()
    assert fragment.num_row_groups == len(ATTACKS) * len(TARGETS)
    assert fragment.subset(wanted).num_row_groups == 1
    read = pd.read_parquet(
        tmp_path / "verdicts", filters=[("attack", "==", "b/rgea"), ("target", "==", "t2")]
    )
    assert len(read) == 48
    assert [*read["example"]] == sorted(read["example"])


def test_duckdb_filters(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    run, record = committed(tmp_path)
    compact(run, record, Silent())
    query = f"select count(*) from '{tmp_path}/verdicts/*.parquet' where target = 't2'"
    assert duckdb.sql(query).fetchone() == (48 * len(ATTACKS),)


def test_images_lie_uncompressed_in_groups_of_64_without_statistics(tmp_path):
    run, record = committed(tmp_path)
    compact(run, record, Silent())
    (path,) = (tmp_path / "examples").iterdir()
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [64, 64, 16]
    columns = [groups.row_group(0).column(n) for n in range(groups.num_columns)]
    found = {column.path_in_schema: column for column in columns}
    assert (found["image"].compression, found["image"].is_stats_set) == ("UNCOMPRESSED", False)
    assert (found["attack"].compression, found["attack"].is_stats_set) == ("ZSTD", True)


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_without_room_for_a_copy_a_table_stays_as_it_is(tmp_path, monkeypatch):
    run, record = committed(tmp_path)
    before = contents(run)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    progress = Notes()
    changes = compact(run, record, progress)
    (note,) = progress.notes
    assert note.startswith("examples stays in 5 files: 0.1 MB are free, 0.1 needed")
    assert [change.table for change in changes] == ["verdicts", "traces", "failures"]
    images = {name: found for name, found in before.items() if name.startswith("examples/")}
    assert contents(run).items() >= images.items()
    assert not run.damage(whole=True)


def test_what_fails_on_the_way_leaves_the_parts_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "PIXEL_ROWS", 10)
    run, record = committed(tmp_path)
    before = contents(run)
    adopt = RunFolder.adopt

    def full(self, draft, name):
        if name.startswith("_parts/examples/00002-"):
            raise OSError(28, "No space left on device")
        adopt(self, draft, name)

    monkeypatch.setattr(RunFolder, "adopt", full)
    progress = Notes()
    compact(run, record, progress, SMALL)
    assert progress.notes == ["examples stays in 5 files: No space left on device"]
    assert not run.damage(whole=True)
    images = {name: found for name, found in before.items() if name.startswith("examples/")}
    assert {n: f for n, f in contents(run).items() if n.startswith("examples/")} == images


KILLED = """\
import json, os, sys
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder, compaction
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.sized_files import Sizes

def die_in(owner, method, left):
    before = getattr(owner, method)

    def killed(self, *args):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return before(self, *args)

    setattr(owner, method, killed)

os.fsync = lambda handle: None
for folder, method, nth in json.loads(sys.argv[1]):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 9, folder
        continue
    die_in(Record if method == "append" else RunFolder, method, nth)
    run = RunFolder(folder)
    compaction.compact(run, Record.read(run), Silent(), Sizes(20_000, 60_000))
    os._exit(0)
"""
DEATHS = [
    *[("draft", 1), ("adopt", 0), ("adopt", 1), ("append", 0), ("append", 1)],
    *[("discard", 0), ("discard", 3), ("place", len(TABLES)), ("place", len(TABLES) + 1)],
]
"""Before a table is swapped, each is asked once whether something staged has no place yet."""


@pytest.fixture(scope="module")
def died(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run not compacted, one that is, and those whose compaction was killed at each point."""
    folder = tmp_path_factory.mktemp("died")
    committed(folder / "parted")
    for name in ["compacted", *(f"{method}-{nth}" for method, nth in DEATHS)]:
        shutil.copytree(folder / "parted", folder / name)
    deaths = [(str(folder / f"{method}-{nth}"), method, nth) for method, nth in DEATHS]
    command = [sys.executable, "-c", KILLED, json.dumps(deaths)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    compact(*opened(folder / "compacted"), Silent(), SMALL)
    return folder


@pytest.mark.parametrize(("method", "nth"), DEATHS)
def test_killed_anywhere_each_row_counts_once_and_it_goes_on(method, nth, died, tmp_path):
    run, record = opened(shutil.copytree(died / f"{method}-{nth}", tmp_path / "run"))
    sound, _ = opened(died / "parted")
    for table in ORDER:
        pd.testing.assert_frame_equal(sorted_rows(run, table), sorted_rows(sound, table))
    damage = examine(run, record, lambda name: True)
    assert not damage.files
    assert not damage.units
    mend(run, record, damage)
    assert not run.damage(whole=True)
    for table in ("examples", "verdicts", "traces", "failures"):
        there = pd.read_parquet(Path(run.location, table))
        assert len(there) == len(sorted_rows(sound, table))
    compact(run, record, Silent(), SMALL)
    assert contents(run) == contents(opened(died / "compacted")[0])
    assert not run.damage(whole=True)


def test_files_that_are_not_in_their_place_are_said(died):
    run, record = opened(died / f"place-{len(TABLES)}")
    line = examine(run, record).line
    assert " is not in its place yet" in line
    assert line.endswith(f"`gauntlet resume {run.location}` moves 2 files there")
    assert not examine(run, record, running=True)


def test_a_file_that_is_not_sorted_is_no_source(tmp_path):
    run, record = committed(tmp_path, parts=2)
    path = min((tmp_path / "traces").iterdir())
    rows = pq.read_table(path)
    with parquet.writer("traces", path) as writer:
        writer.write_table(rows.take(list(range(len(rows)))[::-1]))
    with pytest.raises(ValueError, match="traces: a file is not sorted"):
        compact(run, record, Silent())
