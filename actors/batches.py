"""Batches in the object store: put there once, however many attacks and actors read them."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import ray

from gauntlet.actors.wire import Packed
from gauntlet.pipeline.batch import Batch


@dataclass(frozen=True)
class StoredBatch:
    """What travels in a batch's place, with every question about it.

    Attributes:
        key: names the batch; an actor keeps the last few.
        reference: to the `Packed` batch, in a tuple so that Ray does not fetch it on every call.
    """

    key: str
    reference: tuple[Any]

    def fetch(self) -> Batch:
        """Return the batch."""
        packed: Packed[Batch] = ray.get(self.reference[0])
        return packed.unpack()


class PublishedBatches:
    """The batches that this process has put into the object store.

    Args:
        keep: how many are kept there.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._known: OrderedDict[tuple[str, int], tuple[Batch, StoredBatch]] = OrderedDict()
        self._lock = threading.Lock()

    def publish(self, batch: Batch) -> StoredBatch:
        """Return where a batch is.

        Batches of the same examples are the same batch, unless an attack gave one a guide: then
        it has a key of its own, which no later batch is given again.
        """
        text = "\x1f".join((batch.goal.value, *batch.ids)).encode()
        name = hashlib.blake2b(text, digest_size=12).hexdigest()
        # The entry holds the batch, so that no other guide has the same identity.
        place = (name, 0 if batch.guide is None else id(batch.guide))
        with self._lock:
            if place not in self._known:
                key = name if batch.guide is None else f"{name}-{uuid.uuid4().hex}"
                stored = StoredBatch(key, (ray.put(Packed.of(batch)),))
                self._known[place] = (batch, stored)
                while len(self._known) > self._keep:
                    self._known.popitem(last=False)
            return self._known[place][1]
