"""Batches in the object store: put there once, however many attacks and actors read them."""

from __future__ import annotations

import hashlib
import pickle
import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import ray
import torch

from gauntlet.actors.wire import Packed
from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.batch import Batch

BATCHES = 8
"""How many batches an actor keeps."""


@dataclass(frozen=True)
class StoredBatch:
    """What travels in a batch's place, with the first question about it.

    Attributes:
        key: names the batch; an actor keeps the last few.
        reference: to the `Packed` batch, in a tuple so that Ray does not fetch it by itself.
    """

    key: str
    reference: tuple[Any]

    def fetch(self) -> Batch:
        """Return the batch."""
        packed: Packed[Batch] = ray.get(self.reference[0])
        return packed.unpack()


@dataclass(frozen=True)
class SentSetting:
    """What travels in a setting's place.

    Attributes:
        packed: the setting without its batch, as bytes, the same for all actors.
        batch: where the batch is; an actor that has it is not told.
    """

    packed: bytes
    batch: StoredBatch

    @classmethod
    def of(cls, setting: Setting, batch: StoredBatch) -> SentSetting:
        """Pack a setting."""
        return cls(ray.cloudpickle.dumps(Packed.of(setting, batch=batch.key)), batch)


class UnknownBatch(LookupError):
    """An actor was asked about a batch that it does not have, or has no longer."""


class ReceivedBatches:
    """The last few batches that an actor was asked about.

    Args:
        device: where their tensors go.
        dtype: type of their images.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._known: OrderedDict[str, Batch] = OrderedDict()
        self._lock = threading.Lock()

    def whole(self, setting: bytes, batch: StoredBatch | None) -> Setting:
        """Return a setting with its batch.

        Raises:
            UnknownBatch: when this is the first that is heard of the batch, or it was long ago.
        """
        packed: Packed[Setting] = pickle.loads(setting)
        key: str = packed.rest["batch"]
        with self._lock:
            if key not in self._known:
                if batch is None:
                    raise UnknownBatch(key)
                self._known[key] = batch.fetch().to(self._device, self._dtype)
                while len(self._known) > BATCHES:
                    self._known.popitem(last=False)
            self._known.move_to_end(key)
            return packed.unpack(batch=self._known[key])


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
