"""An answer is waited for while its actor works, not while that only starts anew."""

import os
import signal
import time

import pytest
import ray

from gauntlet.actors.session import connect, disconnect
from gauntlet.actors.waiting import MOST, answers


class Dies:
    def work(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def last(self, seconds):
        time.sleep(seconds)
        return seconds


@pytest.mark.slow
def test_who_dies_again_and_again_is_given_up_and_who_works_is_not(monkeypatch):
    monkeypatch.setattr("gauntlet.actors.waiting.LOOK", 0.2)
    connect(None)
    try:
        told: list[str] = []
        actor = ray.remote(Dies).options(max_restarts=-1, max_task_retries=-1)
        lasting, dying = actor.remote(), actor.remote()
        assert answers([lasting.last.remote(1)], [lasting, dying], told.append) == [1]
        assert told == []
        with pytest.raises(ray.exceptions.GetTimeoutError, match="before it gave an answer"):
            answers([dying.work.remote()], [lasting, dying], told.append)
        assert told[-1].endswith(f"at {MOST} it is given up")
    finally:
        disconnect()
