"""What each of some models is asked, wherever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from gauntlet.pipeline.models.model import Model

T = TypeVar("T")


class Request(ABC, Generic[T]):
    """Something to be asked of models one by one; it travels to the processes that hold them.

    An engine says where a request is answered, and nothing else: what is asked of a model, and what
    comes of it, stands in the request's own class. A dataclass, whose tensors may go as arrays.
    """

    decodes: ClassVar[bool] = False
    """Whether `prepared` reads images, which is done once, in a process that has models."""

    def prepared(self) -> Request[T]:
        """Return what is asked of every model once the work that they share is done."""
        return self

    @abstractmethod
    def of(self, model: Model) -> T:
        """Return one model's answer, on the CPU."""
