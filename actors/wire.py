"""Batches, requests and results as NumPy arrays, which Ray's object store passes on uncopied."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from gauntlet.pipeline.oracle.places import array, tensor

T = TypeVar("T")

# Arrays from the object store are read-only, and nothing here writes to its inputs.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


@dataclass(frozen=True)
class Packed(Generic[T]):
    """A dataclass whose tensors are arrays, those of the dataclasses in it, too.

    Attributes:
        kind: makes it again from its fields.
        arrays: the fields that are tensors.
        rest: the others.
    """

    kind: Callable[..., T]
    arrays: Mapping[str, np.ndarray]
    rest: Mapping[str, Any]

    @classmethod
    def of(cls, thing: T, **instead: Any) -> Packed[T]:
        """Pack a dataclass.

        Args:
            thing: the dataclass.
            instead: what travels in the place of some fields; who unpacks gives them back.
        """
        arrays: dict[str, np.ndarray] = {}
        rest = dict(instead)
        for name, value in _fields(thing).items():
            if name in instead:
                continue
            if isinstance(value, Tensor):
                arrays[name] = array(value)
            elif any(isinstance(inner, Tensor) for inner in _fields(value).values()):
                rest[name] = Packed.of(value)
            else:
                rest[name] = value
        return cls(type(thing), arrays, rest)

    def unpack(self, **instead: Any) -> T:
        """Make the dataclass again, its tensors on the arrays' memory."""
        made = {name: tensor(values) for name, values in self.arrays.items()}
        rest = {
            name: value.unpack() if isinstance(value, Packed) else value
            for name, value in self.rest.items()
        }
        return self.kind(**made, **rest | instead)


def _fields(value: Any) -> dict[str, Any]:
    if not is_dataclass(value) or isinstance(value, type):
        return {}
    return {field.name: getattr(value, field.name) for field in fields(value)}
