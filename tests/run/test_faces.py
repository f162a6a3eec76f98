"""A verification run on real faces: thresholds by protocol, their cache, impersonation, dodging."""

from pathlib import Path

import pytest
import yaml

from gauntlet import jobs
from gauntlet.actors.launch import launch
from gauntlet.jobs.spec.loading import load
from gauntlet.pipeline import results, user_cache
from gauntlet.pipeline.results.manifest import ThresholdRecord
from gauntlet.pipeline.run import threshold_cache
from tests.toys.runs import verdicts

FACES = Path(jobs.__file__).parent / "bundled" / "faces.yaml"


def carry_out(folder, data_root, name, *changes):
    job = yaml.safe_load(FACES.read_text())
    job["attacks"] = [{"base": "i", "epsilon": "8/255", "steps": 2, "step_size": "4/255"}]
    job["targets"] = job["targets"][:1]
    job["resources"] = {"batch": 50, "placement": "in-process"}
    path = folder / "faces.yaml"
    path.write_text(yaml.safe_dump(job))
    plan = load(path, [f"root={data_root}", "data.limit=6", *changes])
    launch(plan, str(folder / name))
    return results.manifest(str(folder / name)), verdicts(folder / name)


@pytest.fixture(autouse=True, scope="module")
def empty_cache(tmp_path_factory):
    """A cache of this file's own: what another test found must not be counted here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAUNTLET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def impersonation(empty_cache, tmp_path_factory, data_root):
    return carry_out(tmp_path_factory.mktemp("faces"), data_root, "run")


def test_the_protocol_gives_the_reference_threshold_and_accuracy(impersonation):
    (entry,) = impersonation[0].thresholds.values()
    assert f"{entry.threshold:.4f}" == "0.3359"
    assert f"{100 * entry.accuracy:.2f}" == "99.92"
    assert f"{100 * entry.accuracy_at_threshold:.2f}" == "99.92"
    assert entry.pairs == 1200


def test_impersonation_raises_the_cosine_over_the_threshold(impersonation):
    frame = impersonation[1]
    assert len(frame) == 6
    assert frame["clean_correct"].all()
    assert not frame["clean_accepted"].any()
    assert (frame["score"] > frame["clean_score"] + 0.2).all()
    assert frame["success"].eq(frame["score"] > frame["threshold"]).all()
    assert frame["white_box"].all()


def test_dodging_lowers_it_and_the_threshold_comes_from_the_cache(
    impersonation, data_root, tmp_path
):
    entries = list(user_cache.folder("thresholds").glob("*.json"))
    assert len(entries) == 1
    stamp = entries[0].stat().st_mtime_ns
    changes = ("task.goal=dodging", "data.kind=same")
    manifest, frame = carry_out(tmp_path, data_root, "run", *changes)
    assert entries[0].stat().st_mtime_ns == stamp
    (entry,) = manifest.thresholds.values()
    assert entry.threshold == next(iter(impersonation[0].thresholds.values())).threshold
    assert frame["clean_accepted"].all()
    assert frame["clean_correct"].all()
    assert (frame["score"] < frame["clean_score"] - 0.2).all()
    assert frame["success"].eq(frame["score"] < frame["threshold"]).all()


def test_an_unreadable_cache_entry_is_found_anew():
    entry = ThresholdRecord(source="LFW protocol", pairs=6, threshold=0.5, accuracy=1.0)
    threshold_cache.save("former", entry)
    assert threshold_cache.load("former") is None
    entry = entry.model_copy(update={"equal_error_rate": 0.0})
    threshold_cache.save("broken", entry)
    assert threshold_cache.load("broken") == entry
    threshold_cache.save("less", ThresholdRecord(source="job", threshold=0.5))
    assert threshold_cache.load("less") is None
    (user_cache.folder("thresholds") / "broken.json").write_text("{")
    assert threshold_cache.load("broken") is None
