"""What is said reaches the listener and the log, also what was said before there was a folder."""

from __future__ import annotations

import pytest

from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.results.run_log import log_of
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.run.logged import Logged


class Heard(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(f"warned of {text}")

    def stage(self, name: str, total: int, unit: str = "examples") -> None:
        self.said.append(f"{name} {total}")


def test_the_log_has_everything_in_order_and_the_listener_what_is_for_people(tmp_path) -> None:
    heard, storage = Heard(), Storage(str(tmp_path))
    logged = Logged(heard)
    logged.note("a session starts")
    assert not (tmp_path / "run.log").exists()

    def run() -> None:
        with logged.into(storage):
            logged.warn("doubts")
            logged.log("carrier 1: started anew")
            logged.stage("attack", 4)
            logged.stage("attack", 5)
            raise ZeroDivisionError("by nought")

    with pytest.raises(ZeroDivisionError):
        run()
    assert heard.said == ["a session starts", "warned of doubts", "attack 4", "attack 5"]
    assert [line.partition(" ")[2] for line in log_of(storage).splitlines()] == [
        "a session starts",
        "warning: doubts",
        "carrier 1: started anew",
        "attack: 4 examples",
        "ended by ZeroDivisionError: by nought",
    ]
