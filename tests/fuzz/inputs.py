"""How an input is made from a sound one, how many are made, and what became of them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from gauntlet.pipeline.problems import BadInput
from tests.fuzz.contained import contained

FEW = 8
EXAMPLES = int(os.environ.get("GAUNTLET_FUZZ", FEW))
"""Inputs of each test: few, the same ones every time, unless somebody asks for thousands."""

fuzzed = settings(
    max_examples=EXAMPLES,
    # The few are told as they are: making a failing one smaller takes as long as thousands.
    phases=[Phase.generate, *([] if EXAMPLES == FEW else [Phase.shrink])],
    derandomize=EXAMPLES == FEW,
    database=None,
    deadline=None,
    suppress_health_check=[*HealthCheck],
)

COUNTS: dict[str, Counter[str]] = defaultdict(Counter)
"""What became of the inputs of each kind."""


def read(
    kind: str,
    folder: Path,
    action: Callable[[], object],
    refusal: type[Exception] = BadInput,
) -> None:
    """Read an input: a result or a refusal, and nothing else.

    Args:
        kind: of input.
        folder: that may be written.
        action: reads it.
        refusal: how it is refused.
    """
    try:
        with contained(folder):
            action()
    except refusal as error:
        COUNTS[kind]["refused"] += 1
        if not str(error):
            raise AssertionError("refused without a word") from error
    else:
        COUNTS[kind]["accepted"] += 1


edits = st.lists(
    st.tuples(
        st.sampled_from(["set", "delete", "insert", "cut", "repeat", "zero"]),
        st.integers(0, 2**16),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)
"""Of bytes: what, where (modulo the length) and which byte."""


def edited(content: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Return a content with bytes changed, left out, put in, repeated or cleared."""
    found = bytearray(content)
    for what, place, value in changes:
        at = place % (len(found) + 1)
        match what:
            case "set" if at < len(found):
                found[at] = value
            case "delete":
                del found[at : at + 1 + value % 8]
            case "insert":
                found[at:at] = bytes([value])
            case "cut":
                del found[at:]
            case "repeat":
                found[at:at] = found[at : at + value]
            case "zero":
                found[at : at + value] = bytes(len(found[at : at + value]))
    return bytes(found)


hostile = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([2**31, 2**63, -(2**63), 10**30, 0]),
    st.floats(),
    st.sampled_from(
        ["", "0", "-1", "8/255", "1/0", "9" * 60, "eps", "all", "ens", "i", "di-ti-mi", "../..",
         "/dev/zero", "/etc/passwd", "~", "file:/dev/zero", "import:evil:make", "import:os:system",
         "zoo/s1", "quickstart/plain", "torchvision/resnet18", "timm/resnet18", "mean:logits",
         "\u202e", "<script>", "a" * 5000, "${HOME}", "s3://bucket/run", "*", "null", "1e999",
         "verdicts/../../beside.parquet"]
    ),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
)  # fmt: skip
"""Values that somebody writes where another one is expected."""

mutations = st.lists(
    st.tuples(
        st.sampled_from(["replace", "delete", "wrap", "double", "rename", "move"]),
        st.integers(0, 2**16),
        st.integers(0, 2**16),
        hostile,
    ),
    min_size=1,
    max_size=3,
)
"""Of a structure: what, at which of its places, with which other place or value."""


def mutated(sound: Any, changes: list[tuple[str, int, int, Any]]) -> Any:
    """Return mappings and lists with some of their parts changed."""
    found = deepcopy(sound)
    for what, first, second, value in changes:
        places = [*_places(found)]
        if not places:
            return value
        holder, key = places[first % len(places)]
        other, other_key = places[second % len(places)]
        match what:
            case "replace":
                holder[key] = deepcopy(value)
            case "delete":
                del holder[key]
            case "wrap":
                holder[key] = [holder[key]]
            case "double" if isinstance(holder, list):
                holder.insert(key, deepcopy(holder[key]))
            case "rename" if isinstance(holder, dict):
                holder[str(value)[:50]] = holder.pop(key)
            case "move":
                holder[key] = deepcopy(other[other_key])
    return found


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in [*items]:
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)
