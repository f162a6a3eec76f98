"""Whose fault it is that units fail, told from the order in which they do."""

from __future__ import annotations

from gauntlet.pipeline.run.blame import IN_A_ROW, Blame

BATCHES = [(f"e{number}",) for number in range(2 * IN_A_ROW)]


def test_a_worker_that_finishes_nothing_of_several_batches_is_sick() -> None:
    blame = Blame(attacks=2)
    for attack in ("a", "b"):
        blame.finished(1, attack)
    told = [blame.failed(0, attack, batch) for batch in BATCHES for attack in ("a", "b")]
    assert told.index(True) == 2 * (IN_A_ROW - 1), "all attacks of a batch are one sign"
    assert told.count(True) == 2, "the one in its place is asked anew"


def test_a_worker_that_finishes_something_is_not_sick() -> None:
    blame = Blame(attacks=2)
    for batch in BATCHES:
        assert not blame.failed(0, "a", batch)
        blame.finished(0, "b")


def test_an_attack_that_fails_everywhere_speaks_against_no_worker() -> None:
    blame = Blame(attacks=2)
    blame.finished(0, "b")
    assert not blame.failed(0, "a", BATCHES[0])
    assert not blame.failed(1, "a", BATCHES[0])
    assert not blame.given_up("a")
    assert not any(blame.failed(0, "a", batch) for batch in BATCHES)


def test_a_cause_is_common_once_every_attack_failed_and_nothing_was_finished() -> None:
    blame = Blame(attacks=2)
    assert not any(blame.given_up("a") for _ in range(IN_A_ROW))
    assert blame.given_up("b")
    blame.finished(0, "b")
    assert not blame.given_up("a")
