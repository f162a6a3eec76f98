"""Data sets of the person's own: made by a factory of theirs, in every process that reads them."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gauntlet.pipeline.data.decoding import Undecodable
from gauntlet.pipeline.data.items import parts
from gauntlet.pipeline.data.listing import Positions
from gauntlet.pipeline.models.sources.own_factory import find_factory
from gauntlet.pipeline.models.sources.own_modules import find_module, told
from gauntlet.pipeline.models.sources.permission import Permission, permitted
from gauntlet.pipeline.problems import BadInput, Problem

_MAKING = threading.Lock()
_MAPPED = "expected a map-style data set, with __len__ and __getitem__"


@dataclass(frozen=True)
class Recipe:
    """How a data set is made; can be sent to other processes, where it is made anew.

    Attributes:
        factory: ``package.module:function``, or a class of data sets.
        options: its keyword arguments, as JSON.
    """

    factory: str
    options: str

    @classmethod
    def of(cls, factory: str, options: Mapping[str, Any]) -> Recipe:
        """Return a recipe; options in another order make the same one."""
        return cls(factory, json.dumps(options, sort_keys=True))

    def made(self) -> OwnDataset:
        """Return the data set; a process makes it once.

        Raises:
            BadInput: when the factory may not be run, fails, or makes no map-style data set.
        """
        with _MAKING:
            return _made(self, permitted())

    def file(self, root: Path) -> Path | None:
        """Return the file of the factory's module; None for one of a permitted package.

        Args:
            root: the job's, which is not trusted; only for the message about a miss.

        Raises:
            BadInput: when there is no such module, or when it may not be run.
        """
        return find_module(self.factory.partition(":")[0], permitted(), root)


class OwnDataset:
    """A map-style data set, asked by one thread at a time: few are made for several.

    Args:
        dataset: the person's.
        where: file of its factory.
    """

    def __init__(self, dataset: Any, where: str) -> None:
        self._dataset, self.where = dataset, where
        self._asking = threading.Lock()

    def __len__(self) -> int:
        return len(self._dataset)

    def item(self, index: int) -> tuple[Any, int]:
        """Return image and class of an item.

        Raises:
            Undecodable: when the data set fails, or gives anything else.
        """
        try:
            with self._asking:
                return parts(self._dataset[index])
        except Undecodable:
            raise
        except Exception as error:  # a data set may do anything
            raise Undecodable(f"cannot be had: {told(error)}") from error

    @cached_property
    def targets(self) -> Positions | None:
        """The classes of all items, (N,), by torchvision's attribute; None where there is none."""
        return _targets(self._dataset, len(self))

    @cached_property
    def labels(self) -> Positions:
        """The classes of all items, (N,); where no attribute says them, every item is asked for.

        Raises:
            BadInput: at the first item that has none.
        """
        if self.targets is not None:
            return self.targets
        found = np.empty(len(self), np.int64)
        for index in range(len(self)):
            try:
                found[index] = self.item(index)[1]
            except Undecodable as error:
                raise BadInput(Problem("", f"item {index} {error}")) from error
        return found

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by torchvision's attribute; empty where there is none."""
        names = getattr(_whole(self._dataset), "classes", None)
        if not isinstance(names, Sequence) or isinstance(names, str) or len(names) < 2:
            return ()
        return tuple(names) if all(isinstance(name, str) for name in names) else ()


def _targets(dataset: Any, count: int) -> Positions | None:
    inner, indices = getattr(dataset, "dataset", None), getattr(dataset, "indices", None)
    if inner is not None and indices is not None:  # a torch.utils.data.Subset
        whole = _targets(inner, len(inner))
        return None if whole is None else whole[np.asarray(indices, np.int64)]
    if getattr(dataset, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        values = getattr(dataset, name, None)
        if values is None or callable(values):
            continue
        try:
            found = np.asarray(values)
        except (TypeError, ValueError, RuntimeError):
            continue
        if found.shape == (count,) and found.dtype.kind in "iu":
            return found.astype(np.int64)
    return None


def _whole(dataset: Any) -> Any:
    while hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        dataset = dataset.dataset
    return dataset


@lru_cache(maxsize=2)
def _made(recipe: Recipe, permission: Permission) -> OwnDataset:
    found = find_factory(recipe.factory, permission, Path())
    found.definition(permission)
    options = json.loads(recipe.options)
    what = f"{recipe.factory} in {found.where}"
    try:
        inspect.signature(found.function).bind(**options)
    except TypeError as error:
        raise _problem(f"{what} does not take these options: {error}") from None
    except ValueError:
        pass  # some builtins have no signature
    try:
        made: Any = found.function(**options)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a factory may do anything
        raise _problem(f"{what} failed: {told(error)}") from error
    kind = f"the class {made.__name__}" if isinstance(made, type) else type(made).__name__
    if not hasattr(made, "__getitem__") or isinstance(made, type | str | Mapping):
        loader = hasattr(made, "dataset") and hasattr(made, "__iter__")
        hint = ": return what it loads from, its `.dataset`" if loader else ""
        raise _problem(f"{what} made {kind}, {_MAPPED}{hint}")
    try:
        count = len(made)
    except Exception:  # a length may be anything
        raise _problem(f"{what} made {kind} without a length, {_MAPPED}") from None
    if not count:
        raise _problem(f"{what} made {kind} with no item")
    return OwnDataset(made, found.where)


def _problem(what: str) -> BadInput:
    return BadInput(Problem("", what))
