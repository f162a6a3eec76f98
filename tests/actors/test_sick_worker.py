"""A worker that fails whatever it is given costs no unit: it is replaced, then retired."""

import pytest

from gauntlet.actors.launch import launch
from gauntlet.pipeline import results
from gauntlet.pipeline.progress import Silent
from tests.toys.runs import KEYS, loaded, network, verdicts
from tests.toys.sick import sick

EXAMPLES = 24


class Healing(Silent):
    """Lets the healthy worker work when the sick one gets nothing more, and keeps what is said."""

    def __init__(self, go):
        self.go, self.told = go, []

    def note(self, text):
        self.told.append(text)

    def log(self, text):
        self.told.append(text)
        if text.endswith("gets nothing more to do"):
            self.go.touch()


@pytest.mark.slow
def test_a_sick_process_is_replaced_then_retired_and_no_unit_fails(tmp_path):
    job = loaded(
        tmp_path,
        surrogates=[sick("plain", tmp_path), network("separable")],
        resources={"batch": 1, "threads": 1, "workers": 2, "placement": "packed"},
    )
    heard = Healing(tmp_path / "go")
    outcome = launch(job.plan, str(tmp_path / "run"), progress=heard, permission=job.permission)
    replaced = [text for text in heard.told if text.endswith("its process is replaced")]
    retired = [text for text in heard.told if text.endswith("it gets nothing more to do")]
    assert len(replaced) == 1, heard.told
    (who,) = {text.partition(":")[0].partition(" failed")[0] for text in (*replaced, *retired)}
    assert retired == [f"{who}: fails as before: it gets nothing more to do"]
    assert (outcome.units_done, outcome.units_failed) == (EXAMPLES * 2, 0)
    assert results.read(str(tmp_path / "run"), "failures").empty
    assert not verdicts(tmp_path / "run").duplicated(KEYS).any()
