"""A carrier as the driver knows it: what it was given, and what was heard of it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gauntlet.pipeline.run.engine import Carries
from gauntlet.pipeline.run.ledger import LOSSES, Ledger
from gauntlet.pipeline.run.order import Item, Order


class Feed:
    """Gives a carrier its orders, and hears its news, each item once; safe to use from threads.

    Args:
        carrier: who carries out.
        ledger: of the run.
        losses: errors by which a call ends whose carrier was lost.
        heard: is told every item of news, with the carrier's number.
        gone: is told how many examples x attacks have to be done again.
        given_up: is told of a unit whose last try was lost with the carrier.
    """

    def __init__(
        self,
        carrier: Carries,
        ledger: Ledger,
        losses: tuple[type[Exception], ...],
        *,
        heard: Callable[[int, Item], None],
        gone: Callable[[int], None],
        given_up: Callable[[Order, str, Exception], None],
    ) -> None:
        self.carrier, self.number = carrier, ledger.join()
        self._ledger, self._losses = ledger, losses
        self._heard, self._gone, self._given_up = heard, gone, given_up
        self._life, self._count = "", 0
        self._lock = threading.Lock()

    def carry(self, order: Order) -> None:
        """Have an order carried out.

        Raises:
            Exception: when the carrier is lost and does not come back, or the storage fails.
        """
        try:
            self.carrier.carry(order)
        except self._losses as error:
            try:
                self.listen()  # by its life it shows whether what it had buffered is lost
            finally:
                for unit in order.units.values():
                    if self._ledger.failed(self.number, unit, LOSSES):
                        self._given_up(order, unit, error)
        else:
            self.listen()

    def settle(self) -> None:
        """Have the carrier write what it has buffered.

        Raises:
            Exception: as `carry`.
        """
        self.carrier.settle()
        self.listen()

    def listen(self) -> None:
        """Hear what is new.

        Raises:
            Exception: as `carry`.
        """
        with self._lock:
            try:
                news = self.carrier.news(self._life, self._count)
            except self._losses:
                self._gone(self._ledger.lost(self.number))
                self._life = ""
                raise
            if news.life != self._life:
                if self._life:
                    self._gone(self._ledger.lost(self.number))
                self._life, self._count = news.life, 0
            for item in news.items[self._count - news.first :]:
                self._heard(self.number, item)
            self._count = news.first + len(news.items)
