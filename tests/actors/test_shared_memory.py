"""A pinned run without shared memory: the object store carries the arrays, and that is said."""

from gauntlet.actors.launch import launch
from gauntlet.pipeline.exchange.segment import SWITCH
from gauntlet.pipeline.progress import Silent
from tests.toys.runs import carry_out, loaded, verdicts


class Notes(Silent):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def test_without_shared_memory_the_object_store_carries_the_same_rows(tmp_path, monkeypatch):
    attacks = [
        {"base": "mi", "steps": 3, "combine": "rgea"},
        {"base": "mi", "steps": 2, "combine": "ens-logits"},
    ]
    changes = {"attacks": attacks, "select": {"limit": 16}}
    carry_out(tmp_path, "in-process", "here", **changes)
    monkeypatch.setenv(SWITCH, "off")  # the hub of the session to come inherits it
    progress = Notes()
    resources = {"batch": 8, "threads": 1, "placement": "pinned"}
    job = loaded(tmp_path, resources=resources, **changes)
    outcome = launch(job.plan, str(tmp_path / "run"), progress=progress, permission=job.permission)
    assert outcome.units_failed == 0
    assert verdicts(tmp_path / "run").equals(verdicts(tmp_path / "here"))
    notes = [text for text in progress.said if "travel with the calls" in text]
    assert notes == ["arrays travel with the calls: GAUNTLET_SHARED_MEMORY is off"]
