"""Whatever happens to a file of a compacted run: a line, and what is done again is there once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import RunFolder, parquet
from gauntlet.pipeline.results.compaction import compact
from gauntlet.pipeline.results.record.chain import Record
from gauntlet.pipeline.results.record.damage import examine
from gauntlet.pipeline.results.record.entries import Compacted
from gauntlet.pipeline.results.record.mending import mend
from gauntlet.pipeline.results.schema import ORDER
from gauntlet.pipeline.results.sized_files import Sizes
from tests.toys.rows import ATTACKS, carry_out, committed, contents, opened, sorted_rows

EXAMPLES = 16
TABLES = ("examples", "verdicts", "traces", "failures")
SIZES = Sizes(least=9_000, most=40_000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)


@pytest.fixture(scope="module", autouse=True)
def _small_and_without_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(parquet, "PIXEL_ROWS", 8)
        patch.setattr(parquet, "ROWS", 120)
        yield


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    run, record = committed(folder, parts=4, examples=EXAMPLES)
    compact(run, record, Silent(), SIZES)
    of = [name.partition("/")[0] for name in record.files]
    assert [of.count(table) for table in TABLES] == [3, 1, 1, 1]
    return folder


def resumed(folder: Path) -> str:
    """Mend a run and do what is left, in a process of its own as far as the record knows."""
    run, record = opened(folder)
    damage = examine(run, record, lambda name: True)
    mend(run, record, damage)
    _, again = opened(folder)
    assert (again.files, again.units) == (record.files, record.units)
    assert not examine(run, again, lambda name: True)
    carry_out(run, again, seed=5, examples=EXAMPLES)
    return damage.line


def assert_as_sound(folder: Path, sound: Path) -> None:
    run, expected = RunFolder(str(folder)), RunFolder(str(sound))
    assert not run.damage(whole=True)
    for table in ORDER:
        pd.testing.assert_frame_equal(sorted_rows(run, table), sorted_rows(expected, table))
    compact(*opened(folder), Silent(), SIZES)
    assert contents(run) == contents(expected)


@pytest.mark.parametrize("tamper", [Path.unlink, cut, flip])
def test_every_file_of_a_compacted_run(
    tamper: Callable[[Path], None], sound: Path, tmp_path: Path
) -> None:
    of = opened(sound)[1].files
    for number, (name, file) in enumerate(of.items()):
        folder = Path(shutil.copytree(sound, tmp_path / str(number)))
        tamper(folder / name)
        line = resumed(folder)
        assert line.count("\n") == 0
        assert line.startswith(f"damaged run: {name} ")
        again = len(file.attacks) * EXAMPLES // 4
        assert line.endswith(f"`gauntlet resume {folder}` does {again} units again")
        assert_as_sound(folder, sound)


def test_rows_of_other_attacks_stay_in_their_files(sound: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "run"))
    run, record = opened(folder)
    one = next(file for file in record.files.values() if file.attacks == ("a/ens",))
    (folder / one.name).unlink()
    mend(run, record, examine(run, record))
    for table in ("verdicts", "failures"):
        rows = run.table(table).to_pandas()
        assert {*rows["attack"]} == {*ATTACKS[1:]}
        files = [file for name, file in record.files.items() if name.startswith(table)]
        assert {attack for file in files for attack in file.attacks} == {*ATTACKS[1:]}


class Interrupted(BaseException):
    pass


def test_a_part_whose_siblings_were_compacted_already(sound, tmp_path, monkeypatch):
    run, record = committed(tmp_path, parts=4, examples=EXAMPLES)
    append = Record.append

    def second(self, entry):
        if isinstance(entry, Compacted) and entry.gone[0].startswith("verdicts/"):
            raise Interrupted
        append(self, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Record, "append", second)
        with pytest.raises(Interrupted):
            compact(run, record, Silent(), SIZES)
    part = next(file for file in record.files.values() if file.name.startswith("verdicts/"))
    compacted = {name for name, file in record.files.items() if file.attacks}
    assert compacted
    assert all(name.startswith("examples/") for name in compacted)
    (tmp_path / part.name).unlink()
    line = resumed(tmp_path)
    assert f"does {len(part.units)} units again" in line
    assert_as_sound(tmp_path, sound)


def test_units_that_a_lost_entry_named_are_taken_out_of_compacted_files(sound, tmp_path):
    folder = Path(shutil.copytree(sound, tmp_path / "run"))
    (folder / "record" / "000002.json").unlink()
    lost = opened(sound)[1].units.keys() - opened(folder)[1].units.keys()
    assert 0 < len(lost) < 12
    line = resumed(folder)
    assert line.startswith("damaged run: record entry 000002 is missing; ")
    assert_as_sound(folder, sound)


@pytest.mark.parametrize("method", ["append", "discard", "place"])
def test_interrupted_while_it_is_mended(method, sound, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(sound, tmp_path / "run"))
    run, record = opened(folder)
    one = next(file for file in record.files.values() if file.attacks == ("b/rgea",))
    flip(folder / one.name)

    def interrupted(self, *args):
        raise Interrupted

    damage = examine(run, record, lambda name: True)
    with monkeypatch.context() as patch:
        patch.setattr(Record if method == "append" else RunFolder, method, interrupted)
        with pytest.raises(Interrupted):
            mend(run, record, damage)
    if method != "append":  # the entry holds: what was damaged counts no more
        found = sorted_rows(run, "verdicts")
        assert {*found["attack"]} == {"a/ens", "c/mgda"}
    resumed(folder)
    assert_as_sound(folder, sound)
