"""Weighing a pickle before it is read: a few bytes can ask for endless work, with harmless parts.

A tuple of twice the same tuple of twice the same tuple takes the time of all that it stands for as
soon as it is hashed or printed, and `OrderedDict` of one list, made many times, fills the memory.
A network's pickle repeats names and small settings, nothing else.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import IO

_REPEATED = 8
"""How many parts may be repeated for each byte of a pickle."""
_FREE = 4096
"""Parts that may be repeated in a pickle of any size."""
_DEEPEST_TUPLE = 50
"""Python hashes tuples inside tuples without a limit, up to the end of its stack."""
_LETTERS = 16
"""Letters of a text that count as one part."""

_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_GROW = {"APPEND": 1, "SETITEM": 2, "BUILD": 1}
_GROW_BY_ALL = frozenset({"APPENDS", "SETITEMS", "ADDITEMS"})


class TooHeavy(Exception):
    """A pickle stands for far more than it holds; the message says how."""


@dataclass(slots=True, eq=False)
class _Part:
    """Something on the pickle's stack: what it stands for, counted in parts, and its depth."""

    weight: int = 1
    depth: int = 0


def weigh(file: IO[bytes]) -> bool:
    """Follow a pickle from where a file stands to behind its end, making nothing of it.

    Returns:
        Whether it has an end; a reader stops at the same place of one that is damaged.

    Raises:
        TooHeavy: when it repeats its parts, or nests tuples, as no network's pickle does.
    """
    scale, start = _Scale(), file.tell()
    try:
        for operation, argument, place in pickletools.genops(file):
            scale.follow(operation, argument)
            if scale.repeated > _REPEATED * ((place or start) - start) + _FREE:
                raise TooHeavy("it repeats its parts more often than any network's pickle")
    except (ValueError, IndexError, KeyError):
        return False
    return True


class _Scale:
    """The stack of a pickle, with weights in place of values."""

    def __init__(self) -> None:
        self.repeated = 0
        self._stack: list[_Part] = []
        self._below: list[list[_Part]] = []
        self._memo: dict[int, _Part] = {}

    def follow(self, operation: pickletools.OpcodeInfo, argument: object) -> None:
        """Do to the weights what an operation does to the values."""
        name = operation.name
        if name == "MARK":
            self._below.append(self._stack)
            self._stack = []
        elif name in _GETS:
            assert isinstance(argument, int)
            self._repeat(self._memo[argument])
        elif name in _PUTS:
            assert isinstance(argument, int)
            self._memo[argument] = self._stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._stack[-1]
        elif name == "DUP":
            self._repeat(self._stack[-1])
        elif name in _GROW:
            parts = self._taken(_GROW[name])
            self._stack[-1].weight += _sum(parts)
        elif name in _GROW_BY_ALL:
            parts = self._to_mark()
            self._stack[-1].weight += _sum(parts)
        else:
            self._make(operation, argument)

    def _make(self, operation: pickletools.OpcodeInfo, argument: object) -> None:
        """Put one new part in the place of those that it is made of."""
        marked = pickletools.markobject in operation.stack_before
        parts = self._to_mark() if marked else self._taken(len(operation.stack_before))
        if not operation.stack_after:
            return
        made = _Part(1 + _sum(parts))
        if isinstance(argument, str | bytes):
            made.weight += len(argument) // _LETTERS
        if operation.name in _TUPLES:
            made.depth = 1 + max((part.depth for part in parts), default=0)
            if made.depth > _DEEPEST_TUPLE:
                raise TooHeavy(f"it nests tuples more than {_DEEPEST_TUPLE} deep")
        self._stack.append(made)

    def _repeat(self, part: _Part) -> None:
        self.repeated += part.weight
        self._stack.append(part)

    def _taken(self, count: int) -> list[_Part]:
        if count > len(self._stack):
            raise IndexError("the stack is empty")
        parts = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return parts

    def _to_mark(self) -> list[_Part]:
        parts, self._stack = self._stack, self._below.pop()
        return parts


def _sum(parts: list[_Part]) -> int:
    return sum(part.weight for part in parts)
