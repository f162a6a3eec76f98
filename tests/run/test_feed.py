"""What a driver makes of a carrier's news: each item once, and what a lost carrier had, again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gauntlet.pipeline.results.parts import Receipt
from gauntlet.pipeline.results.record.entries import UnitDone
from gauntlet.pipeline.run.feed import Feed
from gauntlet.pipeline.run.ledger import Ledger
from gauntlet.pipeline.run.order import CleanAnswers, Finished, Item, Log, News, Order

DONE = UnitDone(attack="i", rows=1, lost=0, seconds=0.0)


class Gone(Exception):
    """The process was lost."""


class Host:
    """A carrier whose process can be lost, and comes back with nothing; does units at once."""

    lanes = 1

    def __init__(self) -> None:
        self.log = Log()
        self.buffered: dict[str, UnitDone] = {}
        self.before: Callable[[], None] = lambda: None

    def carry(self, order: Order) -> None:
        self.before()
        for unit in order.units.values():
            self.buffered[unit] = DONE
            self.log.add(Finished(unit, DONE))

    def clean(self, order: Order, models: tuple[str, ...]) -> CleanAnswers:
        raise NotImplementedError

    def news(self, life: str, heard: int) -> News:
        return self.log.since(life, heard)

    def settle(self) -> None:
        self.log.add(Receipt((), self.buffered))
        self.buffered = {}

    def renew(self) -> bool:
        self.die()
        return True

    def die(self) -> None:
        self.log, self.buffered = Log(), {}


class Driver:
    """Hears one feed, as the stream does."""

    def __init__(self, count: int) -> None:
        orders = (Order((n,), (f"e{n}",), {0: f"u{n}"}) for n in range(count))
        self.host, self.ledger = Host(), Ledger(orders)
        self.heard: list[Item] = []
        self.recorded: list[str] = []
        self.given_up: list[str] = []
        self.again = 0
        self.notes: list[str] = []
        self.log: list[str] = []
        self.feed = Feed(
            self.host, self.ledger, (Gone,), heard=self._hear, gone=self._gone,
            given_up=lambda order, unit, error: self.given_up.append(unit), note=self.notes.append,
            log=self.log.append,
        )  # fmt: skip

    def _hear(self, carrier: int, item: Item) -> None:
        self.heard.append(item)
        if isinstance(item, Finished):
            self.ledger.made(carrier, item.unit)
        elif isinstance(item, Receipt):
            self.ledger.received(carrier, item)
            self.recorded += item.units

    def _gone(self, count: int) -> None:
        self.again += count

    def work(self) -> None:
        while not self.ledger.is_settled() or not self.recorded:
            order = self.ledger.next(self.feed.number)
            if order is None:
                self.feed.settle()
            else:
                self.feed.carry(order)


def test_each_item_is_heard_once() -> None:
    driver = Driver(3)
    driver.work()
    driver.feed.listen()
    assert [type(item) for item in driver.heard] == [Finished] * 3 + [Receipt]
    assert driver.recorded == ["u0", "u1", "u2"]


def dying(host: Host, count: int) -> Callable[[], None]:
    """Lose the process in the middle of the order that comes after so many."""
    left = [count]

    def before() -> None:
        left[0] -= 1
        if left[0] == -1:
            host.die()
            raise Gone

    return before


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_carrier_that_comes_back_does_again_what_it_had_buffered(after: int) -> None:
    driver = Driver(3)
    driver.host.before = dying(driver.host, after)
    driver.work()
    assert sorted(driver.recorded) == ["u0", "u1", "u2"]
    assert driver.again == after
    assert driver.given_up == []
    lost = f"carrier 1: lost while it worked on u{after} (Gone)"
    anew = (
        f"carrier 1: started anew; what it had buffered, {after} examples x attacks, is done again"
    )
    assert driver.log == ([lost, anew] if after else [lost])


def test_a_carrier_that_is_lost_between_an_order_and_its_news_does_it_again() -> None:
    driver = Driver(2)
    order = driver.ledger.next(0)
    assert order is not None
    driver.feed.listen()  # so that its life is known
    carried = driver.host.carry
    lives = iter([True])

    def carry(order: Order) -> None:
        carried(order)
        if next(lives, False):
            driver.host.die()

    driver.host.carry = carry  # type: ignore[method-assign]
    driver.feed.carry(order)
    again = driver.ledger.next(0)
    assert again is not None
    assert again.units == order.units
    driver.feed.carry(again)
    driver.work()
    assert sorted(driver.recorded) == ["u0", "u1"]
    assert driver.given_up == []


def test_a_loss_that_nobody_noticed_shows_in_the_news() -> None:
    driver = Driver(2)
    for _ in range(2):
        order = driver.ledger.next(0)
        assert order is not None
        driver.feed.carry(order)
    driver.host.die()
    driver.work()
    assert sorted(driver.recorded) == ["u0", "u1"]
    assert driver.again == 2


def test_a_carrier_that_does_not_come_back_hands_everything_out_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(2)
    other = driver.ledger.join()
    order = driver.ledger.next(0)
    assert order is not None
    driver.feed.carry(order)

    def gone(*_: Any) -> News:
        raise Gone

    monkeypatch.setattr(driver.host, "news", gone)
    monkeypatch.setattr(driver.host, "carry", gone)
    order = driver.ledger.next(0)
    assert order is not None
    with pytest.raises(Gone):
        driver.feed.carry(order)
    units = [found.units[0] for _ in range(2) if (found := driver.ledger.next(other))]
    assert sorted(units) == ["u0", "u1"]
    assert driver.given_up == []


def test_a_carrier_that_is_slow_to_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(1)
    news, calls = driver.host.news, []

    def slow(life: str, heard: int) -> News:
        calls.append(heard)
        if len(calls) < 3:
            raise TimeoutError("no room for it")
        return news(life, heard)

    monkeypatch.setattr(driver.host, "news", slow)
    driver.work()
    assert driver.recorded == ["u0"]
    assert driver.notes == ["carrier 1 does not answer, and is waited for: no room for it"] * 2


def test_two_lanes_of_a_lost_carrier_do_not_take_each_others_units() -> None:
    driver = Driver(2)
    first, second = (driver.ledger.next(0) for _ in range(2))
    assert first is not None
    assert second is not None
    driver.feed.carry(first)
    driver.host.die()
    driver.feed.listen()  # of the second lane, which sees that what was buffered is lost
    again = driver.ledger.next(0)
    assert again is not None
    assert again.units == first.units
    driver.host.before = dying(driver.host, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver.host, "die", lambda: None)
        driver.feed.carry(first)  # of the first lane, which hears of the loss only now
    assert driver.ledger.next(0) is None, "the unit is the other lane's"


def test_a_lost_carrier_hands_everything_out_even_if_its_lane_waits_for_ever() -> None:
    driver = Driver(2)
    other = driver.ledger.join()
    assert driver.ledger.next(0) is not None  # its call never comes back
    driver.host.news = lambda life, heard: (_ for _ in ()).throw(Gone())  # type: ignore[method-assign]
    with pytest.raises(Gone):
        driver.feed.listen()
    assert driver.feed.retired
    assert driver.ledger.next(0) is None
    units = [found.units[0] for _ in range(2) if (found := driver.ledger.next(other))]
    assert sorted(units) == ["u0", "u1"]


def test_a_sick_carrier_is_replaced_and_what_it_finished_kept_then_given_up() -> None:
    driver = Driver(3)
    other = driver.ledger.join()
    for replaced in (True, False):
        order = driver.ledger.next(0)
        assert order is not None
        driver.feed.carry(order)
        driver.feed.sick = True
        driver.feed.treat()
        assert driver.feed.retired is not replaced
    assert driver.recorded == ["u0", "u1"], "what it had finished before is sound"
    assert driver.notes == ["carrier 1 failed several units in a row: its process is replaced"]
    assert driver.log[-1] == "carrier 1: fails as before: it gets nothing more to do"
    assert driver.ledger.next(0) is None
    assert driver.ledger.next(other) is not None


def test_a_carrier_that_is_lost_again_and_again_is_waited_for_with_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    driver = Driver(1)

    def lost() -> None:
        driver.host.die()
        raise Gone("killed")

    driver.feed.listen()
    driver.host.before = lost
    while not driver.given_up:
        order = driver.ledger.next(0)
        assert order is not None
        driver.feed.carry(order)
    assert pauses == [1.0, 2.0, 4.0, 8.0]
    assert driver.notes[0] == (
        "carrier 1 was lost 2 times in a row (Gone: killed): it starts anew, and gets something "
        "to do in 1 s"
    )


def test_orders_that_are_lost_together_are_one_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    driver, both = Driver(2), threading.Barrier(2)

    def lost() -> None:
        if both.wait() == 0:
            driver.host.die()
        both.wait()
        raise Gone("killed")

    driver.host.before = lost
    orders = [driver.ledger.next(0), driver.ledger.next(0)]
    threads = [threading.Thread(target=driver.feed.carry, args=(order,)) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pauses == []
    assert driver.notes == []
    assert sum(line.startswith("carrier 1: lost while") for line in driver.log) == 2
