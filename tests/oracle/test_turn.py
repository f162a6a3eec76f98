from __future__ import annotations

import threading

import pytest

from gauntlet.pipeline.oracle.turn import Turn


def test_one_computes_while_others_wait_for_something_else() -> None:
    turn, inside, most = Turn(), 0, 0
    answered = threading.Event()
    waiting = threading.Barrier(3)

    def loop() -> None:
        nonlocal inside, most
        for _ in range(200):
            with turn:
                inside += 1
                most = max(most, inside)
                inside -= 1
        with turn, turn.left():
            waiting.wait(10)  # passes only if all three have left it
            answered.wait(10)

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    answered.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 1


def test_an_error_while_waiting_gives_the_turn_away_once() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="lost"), turn, turn.left():
        raise ValueError("lost")
    with turn:  # would hang, or raise, had the turn been kept or given away twice
        pass
