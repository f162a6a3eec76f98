"""What a driver asks of its carriers, and what it hears from them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gauntlet.pipeline.results.parts import Receipt
from gauntlet.pipeline.results.record.entries import UnitDone


@dataclass(frozen=True)
class Order:
    """A batch, and the attacks that are left to do on it; holds no pixels.

    Attributes:
        positions: of the examples in the whole list that the data source gives.
        ids: of the examples.
        units: ids of the units to do, by the attack's position in the plan.
        left_out: examples that an earlier attack on the batch was without, with the reason.
        halvings: how often `rows_per_pass` is halved, as there was no memory for it.
    """

    positions: tuple[int, ...]
    ids: tuple[str, ...]
    units: Mapping[int, str]
    left_out: Mapping[str, str] = field(default_factory=dict)
    halvings: int = 0


@dataclass(frozen=True)
class Unreadable:
    """Examples of an order that its attacks go without.

    Attributes:
        reasons: by example.
    """

    reasons: Mapping[str, str]


@dataclass(frozen=True)
class Finished:
    """A unit whose rows are made, and wait in a buffer for their part.

    Attributes:
        unit: its id.
        done: what it came to.
    """

    unit: str
    done: UnitDone


@dataclass(frozen=True)
class Failed:
    """A unit without rows.

    Attributes:
        unit: its id.
        attack: label of the attack.
        reason: the error in words.
        passing: whether the machine is to blame: another time, or elsewhere, it may not fail.
        short: whether memory was short, or a process was lost, as one is that takes too much.
    """

    unit: str
    attack: str
    reason: str
    passing: bool
    short: bool = False


@dataclass(frozen=True)
class Said:
    """Something that the person should know.

    Attributes:
        text: a line.
    """

    text: str


@dataclass(frozen=True)
class Spent:
    """Where the time of an attack's loop went.

    Attributes:
        own: seconds of the carrier's own work, and of waiting for its turn to do it.
        waited: seconds of waiting for surrogates elsewhere.
    """

    own: float
    waited: float


@dataclass(frozen=True)
class Stalled:
    """Storage fails here, or does no more.

    Attributes:
        cause: where and why; empty when it works again.
    """

    cause: str


Item = Unreadable | Finished | Failed | Receipt | Said | Spent | Stalled


@dataclass(frozen=True)
class CleanAnswers:
    """What models say of the clean images of an order.

    Attributes:
        unreadable: examples that cannot be decoded.
        correct: those that each model is right about; None where nobody can say.
        unsound: those on which a model's outputs are not finite.
    """

    unreadable: frozenset[str]
    correct: Mapping[str, frozenset[str] | None]
    unsound: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class News:
    """What a carrier tells.

    Attributes:
        life: of the carrier: what was buffered in another life is lost.
        first: number of the first item, counted from the beginning of the life.
        items: in the order in which they came to be.
    """

    life: str
    first: int
    items: tuple[Item, ...]


class Log:
    """What happened in a carrier, kept until the driver has heard it; safe to use from threads."""

    def __init__(self) -> None:
        self._life = uuid.uuid4().hex
        self._first = 0
        self._items: list[Item] = []
        self._lock = threading.Lock()

    def add(self, item: Item) -> None:
        """Take an item in."""
        with self._lock:
            self._items.append(item)

    def since(self, life: str, heard: int) -> News:
        """Return what happened after so many items of a life were heard, and forget those.

        Args:
            life: that the driver knows of; what happened in another one, it has not heard.
            heard: number of items.
        """
        with self._lock:
            known = max(0, heard - self._first) if life == self._life else 0
            self._items = self._items[known:]
            self._first += known
            return News(self._life, self._first, tuple(self._items))


def split(order: Order) -> Sequence[Order]:
    """Return an order of its own for each unit."""
    return [
        Order(order.positions, order.ids, {attack: unit}, order.left_out)
        for attack, unit in order.units.items()
    ]
