"""A carrier as the driver knows it: what it was given, and what was heard of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from gauntlet.pipeline.run.engine import Carries
from gauntlet.pipeline.run.ledger import Ledger
from gauntlet.pipeline.run.order import Item, News, Order

PAUSE, LONGEST = 1.0, 30.0
"""Seconds before a process that was lost twice in a row has its next order; doubled every time."""

PATIENCE = 15
"""How often a carrier is asked for news that does not answer in time."""


class Feed:
    """Gives a carrier its orders, and hears its news, each item once; safe to use from threads.

    Args:
        carrier: who carries out.
        ledger: of the run.
        losses: errors by which a call ends whose carrier was lost.
        heard: is told every item of news, with the carrier's number.
        gone: is told how many examples x attacks have to be done again.
        given_up: is told of a unit whose last try was lost with the carrier.
        note: is told of what a person should know.
        log: is told of what the run's log should keep.

    Attributes:
        retired: whether the carrier is lost for good, or given up.
        sick: whether it fails whatever it is given.
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
        note: Callable[[str], None],
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.carrier, self.number = carrier, ledger.join()
        self._ledger, self._losses = ledger, losses
        self._heard, self._gone, self._given_up = heard, gone, given_up
        self._note, self._log = note, log
        self._life, self._count = "", 0
        self._lock, self._treating = threading.Lock(), threading.Lock()
        self.retired = self.sick = False
        self._renewed, self._lost = False, 0
        self._ended: str | None = None

    def carry(self, order: Order) -> None:
        """Have an order carried out.

        Raises:
            Exception: when the carrier is lost and does not come back, or the storage fails.
        """
        life = self._life
        try:
            self.carrier.carry(order)
        except self._losses as error:
            units = ", ".join(order.units.values())
            self._log(f"{self}: lost while it worked on {units} ({_told(error)})")
            try:
                self.listen()  # by its life it shows whether what it had buffered is lost
            finally:
                self._hand_out_again(order, error)
            self._recover(error, life)
        else:
            self._lost = 0
            self.listen()
            # All that became of the order has been heard by now, if its carrier lived so long.
            self._hand_out_again(order, None)

    def _hand_out_again(self, order: Order, error: Exception | None) -> None:
        """Give up, or hand out, what nobody has heard of and the carrier no longer works on."""
        for unit in order.units.values():
            if self._ledger.failed(self.number, unit, order):
                self._given_up(order, unit, error or RuntimeError("lost with its carrier"))

    def _recover(self, error: Exception, life: str) -> None:
        """Wait before a process that is lost again and again is asked for more.

        Args:
            error: by which the loss shows.
            life: of the process, which may have lost other orders, too.
        """
        if life != self._ended:
            self._ended = life
            self._lost += 1
        if self._lost > 1:
            pause = min(LONGEST, PAUSE * 2 ** (self._lost - 2))
            self._note(
                f"{self} was lost {self._lost} times in a row ({_told(error)}): it starts anew, "
                f"and gets something to do in {pause:g} s"
            )
            time.sleep(pause)

    def settle(self, insist: Callable[[Callable[[], None]], None] = lambda act: act()) -> None:
        """Have the carrier write what it has buffered.

        Args:
            insist: carries out what writes; may try again.

        Raises:
            Exception: as `carry`.
        """

        def settle() -> None:
            with suppress(*self._losses):  # the news tell
                self.carrier.settle()

        insist(settle)
        self.listen()

    def listen(self) -> None:
        """Hear what is new.

        Raises:
            Exception: as `carry`.
        """
        with self._lock:
            if self.retired:
                return
            try:
                news = self._news()
            except self._losses:
                self._retire()
                raise
            if news.life != self._life:
                if self._life:
                    gone = self._ledger.lost(self.number)
                    self._gone(gone)
                    self._log(
                        f"{self}: started anew; what it had buffered, {gone} examples x "
                        "attacks, is done again"
                    )
                self._life, self._count = news.life, 0
            for item in news.items[max(0, self._count - news.first) :]:
                self._count += 1
                self._heard(self.number, item)

    def _news(self) -> News:
        """Ask for news, for as long as a process may take to be restarted with its models."""
        for _ in range(PATIENCE - 1):
            try:
                return self.carrier.news(self._life, self._count)
            except TimeoutError as error:
                self._note(f"{self} does not answer, and is waited for: {error}")
        return self.carrier.news(self._life, self._count)

    def treat(self) -> None:
        """Have a sick carrier's process replaced; give it up where that did not help before."""
        with self._treating:
            if not self.sick or self.retired:
                return
            self.sick = False
            with suppress(OSError, *self._losses):
                self.settle()  # what it finished before is sound
            if not self._renewed and self.carrier.renew():
                self._renewed = True
                self._note(f"{self} failed several units in a row: its process is replaced")
                return
            with self._lock:
                what = "fails as before" if self._renewed else "failed several units in a row"
                self._retire(f"{what}: it gets nothing more to do")

    def _retire(self, why: str = "does not come back; others do what it had") -> None:
        """Give up on a carrier: others do what it had."""
        self.retired = True
        self._log(f"{self}: {why}")
        self._gone(self._ledger.leave(self.number))

    def __str__(self) -> str:
        return f"carrier {self.number + 1}"


def _told(error: Exception) -> str:
    """Return an error in a line; of a traceback from another process, the last."""
    lines = str(error).strip().splitlines() or [""]
    name, last = type(error).__name__, lines[-1].strip()
    return f"{name}: {last}" if last else name
