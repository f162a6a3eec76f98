"""The object by which a run on an object store is held: every writing of it is conditional."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gauntlet.pipeline.results.conditional import ConditionalStore, Seen
from gauntlet.pipeline.results.holder import Holder

UNCONDITIONAL = (
    "this store writes whatever the condition: nothing keeps a second driver that begins within "
    "the same second away from the run; see to it that there is none"
)


class Lease:
    """An object that its holder writes anew as long as it lives.

    Whoever writes says what it saw there before, and the store refuses when it is another: of two
    that take a dead driver's lease over, one gets it, and a holder that was silent too long finds
    that it is somebody else's.

    Args:
        store: the run's objects.
        name: of this one.
        note: hears when the store keeps no conditions.
    """

    def __init__(self, store: ConditionalStore, name: str, note: Callable[[str], None]) -> None:
        self._store, self._name, self._note = store, name, note
        self._judged: Seen | None = None

    def take(self, holder: Holder) -> bool:
        """Take what nobody holds; return whether that succeeded."""
        # Asked first, for stores that keep no conditions.
        if self._store.read(self._name) or not self._store.create(self._name, holder.content):
            return False
        self._try_conditions(holder)
        return True

    def take_over(self, holder: Holder) -> bool:
        """Take what was read last from whom it names; return whether that succeeded."""
        before = self._judged
        return before is not None and self._store.replace(self._name, holder.content, before)

    def renew(self, holder: Holder) -> bool:
        """Give a sign of life; return whether the run is held still.

        Raises:
            OSError: when nobody knows.
        """
        seen = self._store.read(self._name)
        held = None if seen is None else Holder.read(seen.content)
        if seen is None or held is None or held.token != holder.token:
            return False
        # Never the same content: its tag would be the same, and a judge would not see this one.
        sign = holder.model_copy(update={"beats": held.beats + 1})
        return self._store.replace(self._name, sign.content, seen)

    def read(self) -> Holder | None:
        """Return who holds the run, as far as the object says it.

        Raises:
            OSError: when nobody knows.
        """
        self._judged = self._store.read(self._name)
        return None if self._judged is None else Holder.read(self._judged.content)

    def age(self) -> float | None:
        """Return for how many seconds the holder has been silent, by the store's clock."""
        return self._store.age(self._name)

    def remove(self) -> None:
        """Let the run go."""
        self._store.delete(self._name)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Do nothing: of two that take the same lease over the store refuses one."""
        yield

    def _try_conditions(self, holder: Holder) -> None:
        """Say it if the store overwrites what it was asked not to."""
        another = holder.model_copy(update={"beats": 1})
        if self._store.create(self._name, another.content):
            self._note(UNCONDITIONAL)
