"""Orders: every unit of work is handed out until it is settled, and rows are taken once."""

from __future__ import annotations

from collections.abc import Iterator

from gauntlet.pipeline.results.parts import Receipt
from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.run.ledger import ATTEMPTS, LOSSES, Ledger
from gauntlet.pipeline.run.order import Order

DONE = UnitDone(attack="i", rows=1, lost=0, seconds=0.0)


def orders(count: int = 2) -> Iterator[Order]:
    """Orders of one example and two attacks each, with units ``a0``, ``b0``, ``a1``, ..."""
    for number in range(count):
        yield Order((number,), (f"e{number}",), {0: f"a{number}", 1: f"b{number}"})


def receipt(*units: str) -> Receipt:
    return Receipt((), dict.fromkeys(units, DONE))


def test_a_unit_is_settled_once_its_rows_are_in_files() -> None:
    ledger = Ledger(orders(1))
    carrier = ledger.join()
    assert ledger.next(carrier) is not None
    assert ledger.next(carrier) is None
    assert not ledger.is_idle()
    assert ledger.made(carrier, "a0") is not None
    ledger.made(carrier, "b0")
    assert ledger.is_idle()
    assert not ledger.is_settled()
    assert ledger.received(carrier, receipt("a0", "b0"))
    assert ledger.is_settled()


def test_rows_that_nobody_asked_for_or_that_came_before_are_not_taken() -> None:
    ledger = Ledger(orders(1))
    one, other = ledger.join(), ledger.join()
    ledger.next(one)
    assert ledger.made(other, "a0") is None
    assert not ledger.received(one, receipt("a0"))
    ledger.made(one, "a0")
    assert ledger.received(one, receipt("a0"))
    assert not ledger.received(one, receipt("a0"))


def test_what_is_in_one_file_with_rows_that_another_makes_is_done_again() -> None:
    ledger = Ledger(orders(1))
    one, other = ledger.join(), ledger.join()
    ledger.next(one)
    ledger.made(one, "b0")
    ledger.failed(one, "a0")  # it could not be reached, and finishes all the same
    assert ledger.next(other) is not None
    assert not ledger.received(one, receipt("a0", "b0"))
    again = ledger.next(other)
    assert again is not None
    assert again.units == {1: "b0"}
    assert ledger.next(other) is None
    for unit in ("a0", "b0"):
        ledger.made(other, unit)
    assert ledger.received(other, receipt("a0", "b0"))
    assert ledger.is_settled()


def test_a_failed_unit_goes_to_another_carrier_and_is_given_up_after_its_last_try() -> None:
    ledger = Ledger(orders(1))
    one, other = ledger.join(), ledger.join()
    ledger.next(one)
    assert not ledger.failed(one, "a0")
    assert ledger.next(one) is None, "it waits for the other one"
    again = ledger.next(other)
    assert again is not None
    assert again.units == {0: "a0"}
    assert [ledger.failed(other, "a0") for _ in range(1, ATTEMPTS)] == [True]
    ledger.made(one, "b0")
    assert ledger.is_idle()


def test_the_only_carrier_tries_again_itself() -> None:
    ledger = Ledger(orders(1))
    carrier = ledger.join()
    ledger.next(carrier)
    assert not ledger.failed(carrier, "b0")
    again = ledger.next(carrier)
    assert again is not None
    assert again.units == {1: "b0"}


def test_what_a_lost_carrier_had_buffered_is_done_again() -> None:
    ledger = Ledger(orders())
    one, other = ledger.join(), ledger.join()
    for _ in range(2):
        ledger.next(one)
    for unit in ("a0", "b0", "a1"):
        ledger.made(one, unit)
    ledger.received(one, receipt("a0"))
    assert ledger.lost(one) == 2
    found = [ledger.next(other), ledger.next(other)]
    assert [order.units for order in found if order] == [{1: "b0"}, {0: "a1"}]
    assert ledger.next(other) is None
    assert not ledger.received(one, receipt("b0"))


def test_a_process_that_was_lost_costs_fewer_tries_than_an_error() -> None:
    ledger = Ledger(orders(1))
    carrier = ledger.join()
    tries: list[bool] = []
    while not any(tries):
        order = ledger.next(carrier)
        assert order is not None
        tries.append(ledger.failed(carrier, "a0", order))
    assert len(tries) == LOSSES > ATTEMPTS


def test_what_is_lost_again_is_tried_with_half_the_rows_a_pass_each_time() -> None:
    ledger = Ledger(orders(1))
    carrier = ledger.join()
    halvings = []
    for given in (True, False, True, False, True):
        order = ledger.next(carrier)
        assert order is not None
        halvings.append(order.halvings)
        ledger.failed(carrier, "a0", order if given else None, short=not given)
    assert halvings == [0, 0, 0, 1, 2]


def test_a_loss_takes_no_try_from_a_unit_that_fails() -> None:
    ledger = Ledger(orders(1))
    one, other = ledger.join(), ledger.join()
    order = ledger.next(one)
    assert order is not None
    assert not ledger.failed(one, "a0", order)
    assert ledger.next(other) is not None
    assert not ledger.failed(other, "a0")
    assert ledger.next(other) is not None, "nobody is left who has not tried it"
    assert ledger.failed(other, "a0")


def test_the_last_carrier_that_is_left_tries_a_failed_unit_again_itself() -> None:
    ledger = Ledger(orders(1))
    one, other = ledger.join(), ledger.join()
    ledger.next(one)
    assert ledger.leave(other) == 0
    assert not ledger.failed(one, "a0")
    again = ledger.next(one)
    assert again is not None
    assert again.units == {0: "a0"}
    assert ledger.next(other) is None


def test_nothing_is_settled_while_there_are_orders() -> None:
    ledger = Ledger(orders(2))
    carrier = ledger.join()
    ledger.next(carrier)
    for unit in ("a0", "b0"):
        ledger.made(carrier, unit)
    assert ledger.received(carrier, receipt("a0", "b0"))
    assert not ledger.is_settled()
