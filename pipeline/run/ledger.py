"""What of a run is handed out, made, and recorded: every unit of work is in one place at a time."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace

from gauntlet.pipeline.results.parts import Receipt
from gauntlet.pipeline.run.order import Order, split

ATTEMPTS = 2
"""How often a unit of work may fail before it goes to `failures`: on as many carriers, if there
are."""

LOSSES = 5
"""How often it may be lost with its process, or for want of memory: it may have had no part in
that."""
WHOLE = 2
"""After how many of these it is tried with half the rows a pass, each time."""


class Ledger:
    """The orders of a run, from which carriers are fed; safe to use from threads.

    A unit is waiting (in an order), in work, buffered by a carrier, or settled: committed or given
    up. What a carrier had is handed out again when the carrier is lost.

    Args:
        orders: everything that is left to do, made as it is asked for.
    """

    def __init__(self, orders: Iterator[Order]) -> None:
        self._orders = orders
        self._again: deque[tuple[Order, frozenset[int]]] = deque()
        self._held: dict[int, dict[str, Order]] = {}
        self._made: dict[int, set[str]] = {}
        self._failed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._tried: defaultdict[str, set[int]] = defaultdict(set)
        self._living: set[int] = set()
        self._changed = threading.Condition()
        self._exhausted = False

    def join(self) -> int:
        """Return a number for one more carrier."""
        with self._changed:
            number = len(self._held)
            self._held[number], self._made[number] = {}, set()
            self._living.add(number)
            return number

    def leave(self, carrier: int) -> int:
        """Hand out again all that a carrier had, which takes no order any more.

        Returns:
            The number of examples x attacks of what it had buffered.
        """
        with self._changed:
            self._living.discard(carrier)
            buffered = self._buffered(carrier)
            for unit, order in [*self._held[carrier].items()]:
                self._settle(carrier, unit)
                self._hand_out(order, unit)
            return buffered

    def next(self, carrier: int) -> Order | None:
        """Return an order for a carrier, None when there is none now."""
        with self._changed:
            if carrier not in self._living:
                return None
            order = self._second_try(carrier) or next(self._orders, None)
            if order is None:
                self._exhausted = not self._again
            else:
                self._held[carrier] |= dict.fromkeys(order.units.values(), order)
            return order

    def _second_try(self, carrier: int) -> Order | None:
        for place, (order, tried) in enumerate(self._again):
            if carrier not in tried or self._living <= tried:
                del self._again[place]
                return order
        return None

    def wait(self, seconds: float) -> None:
        """Wait until something changes, or that long."""
        with self._changed:
            self._changed.wait(seconds)

    def made(self, carrier: int, unit: str) -> Order | None:
        """Note that a carrier has buffered a unit's rows; return its order, None if it has none."""
        with self._changed:
            order = self._held[carrier].get(unit)
            if order is not None:
                self._made[carrier].add(unit)
            return order

    def received(self, carrier: int, receipt: Receipt) -> bool:
        """Note that units' rows are in files; return whether these are to be committed.

        They are not when a unit among them was handed to another carrier meanwhile, as happens when
        a carrier could not be reached for a while: its rows would be there twice. The others are
        handed out again.
        """
        with self._changed:
            sound = receipt.units.keys() <= self._made[carrier]
            for unit in receipt.units.keys() & self._made[carrier]:
                order = self._held[carrier][unit]
                self._settle(carrier, unit)
                if not sound:
                    self._hand_out(order, unit)
            return sound

    def failed(
        self, carrier: int, unit: str, given: Order | None = None, short: bool = False
    ) -> bool:
        """Hand a failed unit out again, to another carrier; return whether that was its last try.

        Args:
            carrier: who tried.
            unit: its id.
            given: the order that was lost with its process, which counts less: a unit that has been
                handed out again since is another's.
            short: whether it was for want of memory, which counts less, too.
        """
        less = short or given is not None
        counts, most = (self._lost, LOSSES) if less else (self._failed, ATTEMPTS)
        with self._changed:
            order = self._held[carrier].get(unit)
            if (
                order is None
                or unit in self._made[carrier]
                or not (given is None or given is order)
            ):
                return False
            counts[unit] += 1
            self._tried[unit].add(carrier)
            self._settle(carrier, unit)
            if counts[unit] >= most:
                return True
            self._hand_out(order, unit)
            return False

    def batch_of(self, carrier: int, unit: str) -> tuple[str, ...]:
        """Return the ids of the examples of a unit that a carrier has; empty if it has it not."""
        with self._changed:
            order = self._held[carrier].get(unit)
            return () if order is None else order.ids

    def lost(self, carrier: int) -> int:
        """Hand out again what a carrier had buffered; return the number of examples x attacks."""
        with self._changed:
            made, buffered = self._made[carrier], self._buffered(carrier)
            gone = {unit: order for unit, order in self._held[carrier].items() if unit in made}
            for unit, order in gone.items():
                self._settle(carrier, unit)
                self._hand_out(order, unit)
            return buffered

    def _buffered(self, carrier: int) -> int:
        return sum(len(self._held[carrier][unit].ids) for unit in self._made[carrier])

    def is_idle(self) -> bool:
        """Return whether nothing waits or is in work: what is left is buffered."""
        with self._changed:
            return not self._again and all(
                held.keys() <= self._made[carrier] for carrier, held in self._held.items()
            )

    def is_settled(self) -> bool:
        """Return whether everything is recorded or given up."""
        with self._changed:
            return self._exhausted and not self._again and not any(self._held.values())

    def _settle(self, carrier: int, unit: str) -> None:
        self._held[carrier].pop(unit, None)
        self._made[carrier].discard(unit)
        self._changed.notify_all()

    def _hand_out(self, order: Order, unit: str) -> None:
        (one,) = (one for one in split(order) if unit in one.units.values())
        one = replace(one, halvings=max(0, self._lost[unit] - WHOLE))
        self._again.append((one, frozenset(self._tried.get(unit, ()))))
