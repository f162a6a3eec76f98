"""Failures, tables and selection of a run."""

import errno
import json
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from gauntlet.actors.launch import launch
from gauntlet.jobs.bundled.quickstart.shapes import draw
from gauntlet.pipeline import results
from gauntlet.pipeline.models.quickstart.networks import load as load_network
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results import TABLES, RunFolder, patience
from gauntlet.pipeline.results.patience import StorageFailed
from gauntlet.pipeline.results.run_log import log_of
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.run.blame import CommonCause
from gauntlet.pipeline.run.carrier import Carrier
from gauntlet.pipeline.run.local import LocalEngine
from gauntlet.pipeline.run.order import Log, Spent
from gauntlet.pipeline.run.plan import plan_of
from gauntlet.pipeline.run.runner import Runner
from tests.toys.runs import KEYS, QUICKSTART, carry_out, own, plan, verdicts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    carry_out(folder, "in-process")
    return folder / "run"


def test_trap_21_tables_are_tidy_and_read_by_one_call(run):
    for name, schema in TABLES.items():
        files = sorted((run / name).glob("*.parquet"))
        if name in ("failures", "interactions", "thresholds"):
            assert not files
            continue
        frame = pd.read_parquet(run / name)
        assert list(frame.columns) == schema.names
        stored = pq.read_schema(files[0])
        assert all(stored.field(column).metadata[b"description"] for column in schema.names)
    assert not list(run.rglob("*.png"))
    frame = pd.read_parquet(f"{run}/verdicts")
    rate = frame.groupby(["attack", "target"])["success"].mean()
    assert len(rate) == 4


def test_trap_05_both_denominators_can_be_computed(tmp_path):
    carry_out(tmp_path, "in-process", select={"limit": 80}, attacks=[{"base": "mi", "steps": 3}])
    frame = verdicts(tmp_path / "run")
    wide = frame[frame["target"] == "wide"]
    assert 0 < (~wide["clean_correct"].astype(bool)).sum() < len(wide)
    everybody = wide["success"].mean()
    right_before = wide[wide["clean_correct"].astype(bool)]["success"].mean()
    assert everybody > right_before


def test_trap_04_stored_images_are_what_was_judged(run):
    examples = results.read(str(run), "examples")
    frame = verdicts(run)
    row = examples.iloc[0]
    image = results.decode_image(row)
    assert image.dtype == np.uint8
    with torch.inference_mode():
        net = load_network("wide").eval()
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        predicted = int(net(pixels).argmax())
    same = frame["example"].eq(row["example"]) & frame["attack"].eq(row["attack"])
    verdict = frame[same & frame["target"].eq("wide")].iloc[0]
    assert predicted == verdict["prediction"]
    clean = np.load(QUICKSTART / "shapes.npz")["images"][int(row["example"].rpartition("/")[2])]
    assert np.abs(image.astype(int) - clean).max() == row["linf"] == verdict["linf"]


def test_traces_follow_the_attack(run):
    traces = results.read(str(run), "traces")
    assert sorted(traces["step"].unique()) == [1, 2, 3, 4]
    assert traces["losses"].map(len).eq(2).all()
    mi = traces[traces["attack"].str.startswith("mi/")].sort_values(["example", "step"])
    grown = mi.groupby("example")["losses"].agg(lambda rows: sum(rows.iloc[-1]) - sum(rows.iloc[0]))
    assert (grown > 0).mean() > 0.9
    rgea = traces[traces["attack"].str.contains("rgea")]
    assert rgea["weights"].map(lambda w: np.isfinite(w).all()).all()


def test_the_manifest_says_what_was_done(run):
    manifest = results.manifest(str(run))
    assert manifest.evaluate["quantize"] is True
    assert manifest.attacks[0].step_size == pytest.approx(1.5 * 8 / 255 / 4)
    card = manifest.models["surrogate/plain"]
    assert card.folded is True
    assert len(card.fingerprint) >= 16
    assert (manifest.units.done, manifest.units.failed) == (6, 0)
    assert manifest.software["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_images_that_do_not_decode_go_to_failures_and_the_rest_goes_on(tmp_path):
    images, labels = draw(12, seed=7)
    rows = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,{label}")
    (tmp_path / "5.png").write_bytes((tmp_path / "5.png").read_bytes()[:100])
    (tmp_path / "9.png").write_text("<html>not found</html>")
    (tmp_path / "labels.csv").write_text("file,label\n" + "\n".join(rows) + "\n")
    data = {"source": "folder", "root": str(tmp_path), "labels": str(tmp_path / "labels.csv")}
    outcome = carry_out(tmp_path, "in-process", data=data, select={})
    assert outcome.rejected == 2
    assert outcome.units_failed == 0
    failures = results.read(str(tmp_path / "run"), "failures")
    assert list(failures["stage"]) == ["input", "input"]
    assert all(any(n in text for n in ("5.png", "9.png")) for text in failures["example"])
    frame = verdicts(tmp_path / "run")
    assert len(frame) == 10 * 2 * 2
    assert not frame["example"].isin(failures["example"]).any()


def overflowing(name: str) -> torch.nn.Module:
    """A network that overflows on dark images."""
    inner = load_network(name)

    class Overflowing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, images):
            dark = images.mean((1, 2, 3)) < 0.45
            return self.inner(images) * torch.where(dark, torch.inf, 1.0)[:, None]

    return Overflowing()


def test_an_example_with_non_finite_gradients_is_lost_by_name(tmp_path):
    surrogate = own("plain", "tests.run.test_stream:overflowing")
    outcome = carry_out(
        tmp_path, "in-process", surrogates=[surrogate], select={"limit": 40},
        resources={"fold": False},
    )  # fmt: skip
    failures = results.read(str(tmp_path / "run"), "failures")
    assert outcome.lost == len(failures) > 0
    assert set(failures["stage"]) == {"attack"}
    assert failures["reason"].str.contains("surrogate 'plain'").all()
    frame = verdicts(tmp_path / "run")
    assert len(frame) == 2 * (40 * 2 - len(failures))
    assert np.isfinite(frame["score"]).all()


class FailsOnce(LocalEngine):
    """Raises for one attack, as a machine that ran out of memory would."""

    broken = True

    def attack(self, attack, batch, judged=None, rows_per_pass=None):
        if self.broken and attack.base == "mi":
            raise MemoryError("no memory left")
        return super().attack(attack, batch, judged, rows_per_pass)


def test_a_unit_that_keeps_failing_is_reported_and_tried_again_by_resume(tmp_path):
    job = plan(tmp_path, resources={"batch": 8})
    folder = RunFolder(str(tmp_path / "run"))
    folder.write("plan.json", job.model_dump_json().encode())
    outcome = Runner(job, folder, FailsOnce(job), Silent()).run()
    assert outcome.units_failed == 3
    assert outcome.units_done == 3
    failures = results.read(str(tmp_path / "run"), "failures")
    assert list(failures["stage"]) == ["unit"] * 3
    assert failures["reason"].str.contains("MemoryError: no memory left").all()
    outcome = launch(job, str(tmp_path / "run"), resume=True)
    assert (outcome.units_failed, outcome.units_done) == (0, 6)
    assert results.read(str(tmp_path / "run"), "failures").empty
    frame = verdicts(tmp_path / "run")
    assert len(frame) == 24 * 4
    assert not frame.duplicated(KEYS).any()


class Busy(LocalEngine):
    """Carriers that say of every loop that it was their own work, and one more of them."""

    def __init__(self, job):
        super().__init__(job)
        self.one, self.logs = threading.Lock(), []

    def attack(self, attack, batch, judged=None, rows_per_pass=None):
        with self.one:
            for log in self.logs:
                log.add(Spent(own=1.0, waited=0.1))
            return super().attack(attack, batch, judged, rows_per_pass)

    def ask(self, models, request):
        with self.one:
            return super().ask(models, request)

    def carriers(self, *given):
        self.given = given
        return [self.another()]

    def another(self):
        if len(self.logs) == 2:
            return None
        self.logs.append(Log())
        examples, thresholds, storage, gallery = self.given
        log = self.logs[-1]
        return Carrier(
            self._plan, self, examples, thresholds, storage, lanes=2, log=log, gallery=gallery
        )


class Notes(Silent):
    def __init__(self):
        self.told = []

    def note(self, text):
        self.told.append(text)


def test_one_more_carrier_starts_when_those_there_are_the_limit(run, tmp_path):
    job = plan(tmp_path, resources={"batch": 2, "part_seconds": 0})
    folder, notes, engine = RunFolder(str(tmp_path / "run")), Notes(), Busy(job)
    outcome = Runner(job, folder, engine, notes).run()
    assert (outcome.units_done, outcome.units_failed) == (24, 0)
    told = "1 hub spent 91% of the loops' time on their own work: one more is started"
    assert notes.told.count(told) == 1
    assert engine.logs[1].since("", 0).first > 0, "the second has carried nothing"
    frame, alone = verdicts(tmp_path / "run"), verdicts(run)
    assert (frame[KEYS] == alone[KEYS]).all(axis=None)
    assert not frame.duplicated(KEYS).any()


class Logs(Notes):
    def log(self, text):
        self.told.append(text)


class Ill(Busy):
    """Two carriers; the surrogates that the first `ill` of them reach always fail."""

    def __init__(self, job, ill):
        super().__init__(job)
        self.ill = ill

    def carriers(self, examples, thresholds, storage, gallery=None):
        engine = self

        class Failing:
            cards, ask = engine.cards, staticmethod(engine.ask)

            def attack(self, attack, batch, judged=None, rows_per_pass=None):
                raise RuntimeError("CUDA error: unspecified launch failure")

        reached = [Failing() if number < self.ill else self for number in range(2)]
        return [Carrier(self._plan, each, examples, thresholds, storage) for each in reached]


def test_a_sick_worker_costs_no_unit_and_gets_nothing_more(tmp_path):
    job = plan(tmp_path, resources={"batch": 2, "part_seconds": 0})
    logs = Logs()
    outcome = Runner(job, RunFolder(str(tmp_path / "run")), Ill(job, 1), logs).run()
    assert (outcome.units_done, outcome.units_failed) == (24, 0)
    told = "carrier 1: failed several units in a row: it gets nothing more to do"
    assert logs.told.count(told) == 1
    assert not verdicts(tmp_path / "run").duplicated(KEYS).any()


def test_where_every_worker_is_sick_the_run_stops_with_the_cause(tmp_path):
    job = plan(tmp_path, resources={"batch": 2, "part_seconds": 0})
    runner = Runner(job, RunFolder(str(tmp_path / "run")), Ill(job, 2), Silent())
    with pytest.raises(CommonCause, match=r"every .* CUDA error: unspecified launch failure"):
        runner.run()
    assert len(results.read(str(tmp_path / "run"), "failures")) < 24


class Vanished(Carrier):
    """A carrier in a process that is gone for good, and that who asks it hears nothing of."""

    def carry(self, order):
        threading.Event().wait()

    def news(self, life, heard):
        raise Gone("no node has room for it")


class Gone(Exception):
    pass


class Far(LocalEngine):
    """Its only carrier, of one lane, is elsewhere."""

    losses = (Gone,)

    def carriers(self, examples, thresholds, storage, gallery=None):
        return [Vanished(self._plan, self, examples, thresholds, storage)]


def test_the_only_carrier_that_does_not_come_back_ends_the_run(tmp_path):
    job = plan(tmp_path, select={"correct": None, "limit": 8})
    runner = Runner(job, RunFolder(str(tmp_path / "run")), Far(job), Silent())
    with pytest.raises(Gone, match="no node has room for it"):
        runner.run()


class Full:
    """Storage that refuses what is written to it while it is full."""

    def __init__(self, patch):
        self.full = True
        written = Storage.write

        def write(storage, name, content, **more):
            if self.full and name.startswith("_parts/"):
                raise OSError(errno.ENOSPC, "No space left on device", name)
            written(storage, name, content, **more)

        patch.setattr(Storage, "write", write)
        patch.setattr(patience, "PAUSE", 0.01)


def test_a_full_disk_pauses_the_run_and_costs_no_unit(tmp_path, monkeypatch):
    disk = Full(monkeypatch)

    class MakesRoom(Notes):
        def note(self, text):
            super().note(text)
            disk.full &= "the run pauses" not in text

    notes = MakesRoom()
    job = plan(tmp_path, resources={"batch": 8, "part_seconds": 0})
    outcome = Runner(job, RunFolder(str(tmp_path / "run")), LocalEngine(job), notes).run()
    assert (outcome.units_done, outcome.units_failed) == (6, 0)
    told = (
        f"{tmp_path / 'run'}: No space left on device: the run pauses, and writing is tried again"
    )
    assert [text.startswith(told) for text in notes.told].count(True) == 1
    assert "what waited could be written: the run goes on" in notes.told
    assert not verdicts(tmp_path / "run").duplicated(KEYS).any()


def test_a_disk_that_stays_full_stops_the_run_which_is_resumed(tmp_path, monkeypatch):
    job = plan(tmp_path, resources={"batch": 8, "part_seconds": 0, "storage_patience_s": 0.1})
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        Full(patch)
        with pytest.raises(StorageFailed, match="No space left on device"):
            launch(job, str(run))
    assert launch(job, str(run), resume=True).units_done == 6
    assert results.read(str(run), "failures").empty
    assert len(verdicts(run)) == 24 * 4


def test_a_disk_that_is_full_at_the_end_pauses_the_run_too(tmp_path, monkeypatch):
    """The manifest that says that it is finished, and the drafts of large files."""
    job = plan(tmp_path, resources={"batch": 8, "part_seconds": 0})
    run, refused, told = tmp_path / "run", [], Notes()
    written, adopt = Storage.write, Storage.adopt

    def first(name, act):
        if name not in refused:
            refused.append(name)
            raise OSError(errno.ENOSPC, "No space left on device", name)
        act()

    def write(storage, name, content, **more):
        if name == "manifest.json" and b'"finished": "' in bytes(content):
            first(name, lambda: written(storage, name, content, **more))
        else:
            written(storage, name, content, **more)

    monkeypatch.setattr(Storage, "write", write)
    monkeypatch.setattr(
        Storage, "adopt",
        lambda storage, draft, name: first(name, lambda: adopt(storage, draft, name)),
    )  # fmt: skip
    monkeypatch.setattr(patience, "PAUSE", 0.01)
    outcome = Runner(job, RunFolder(str(run)), LocalEngine(job), told).run()
    assert (outcome.units_done, outcome.units_failed) == (6, 0)
    assert "manifest.json" in refused
    assert [name for name in refused if name.startswith("_parts/verdicts/")]
    assert told.told.count("what waited could be written: the run goes on") == len(refused)
    assert [path.name for path in (run / "verdicts").glob("*")] == [
        path.name for path in (run / "verdicts").glob("00000-*.parquet")
    ]
    assert not RunFolder(str(run)).damage(whole=True)
    assert len(verdicts(run)) == 24 * 4


def test_a_torn_write_is_no_row_and_no_entry(tmp_path):
    folder = RunFolder(str(tmp_path))
    folder.write("plan.json", b"{}")
    (tmp_path / "record").mkdir()
    (tmp_path / "record" / ".000000.json.123").write_text("{")
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / ".abc.parquet.123").write_bytes(b"PAR1 torn")
    assert folder.finished() == set()
    assert results.read(str(tmp_path), "verdicts").empty


def test_resume_refuses_models_that_changed(run, tmp_path):
    path = Path(shutil.copytree(run, tmp_path / "run"), "manifest.json")
    manifest = json.loads(path.read_text())
    manifest["models"]["target/wide"]["fingerprint"] = "0" * 16
    path.write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="target/wide changed since the run began"):
        launch(plan(tmp_path), str(tmp_path / "run"), resume=True)


def test_resume_on_another_kind_of_device_says_what_may_differ(run, tmp_path):
    where = shutil.copytree(run, tmp_path / "run")
    path = where / "manifest.json"
    manifest = json.loads(path.read_text())
    for card in manifest["models"].values():
        card |= {"device": "cuda", "hardware": "NVIDIA A100"}
    path.write_text(json.dumps(manifest))
    launch(plan_of(str(where)), str(where), resume=True)
    launch(plan_of(str(where)), str(where), resume=True)
    said = re.findall(
        "warning: the run began on (.*) and goes on on (.*): n", log_of(RunFolder(str(where)))
    )
    assert [then for then, _ in said] in (["NVIDIA A100"], ["cuda"])


def test_a_run_is_never_overwritten(run, tmp_path):
    with pytest.raises(BadInput, match="a finished run already; see it with `gauntlet report"):
        launch(plan(tmp_path), str(run))


@pytest.mark.parametrize("quantize", [True, False])
def test_quantize_is_honoured(quantize, tmp_path):
    carry_out(tmp_path, "in-process", evaluate={"quantize": quantize, "traces": False})
    examples = results.read(str(tmp_path / "run"), "examples")
    assert set(examples["dtype"]) == {"uint8" if quantize else "float32"}
    rgea = examples[examples["rule"] == "rgea"]
    whole = np.allclose(rgea["linf"], rgea["linf"].round(), atol=1e-6)
    assert whole is quantize or not rgea["linf"].lt(8).any()
    assert results.read(str(tmp_path / "run"), "traces").empty
