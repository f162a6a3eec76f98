"""Which of the things that a network returns is its answer.

Networks return more than logits or an embedding: the outputs of auxiliary heads that only training
reads, an embedding with its norm, transformers' mappings. The rules, applied until a tensor is
left:

1. A tensor is the answer.
2. A mapping answers with its entry `logits`; else with `embedding` or another of `NAMES`, in their
   order; else with its only entry.
3. A named tuple with a field of `NAMES` answers with it: torchvision's GoogLeNet and Inception.
4. Any other tuple or list answers with its first entry: what follows is auxiliary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = (
    "logits", "out", "output", "embedding", "embeddings", "image_embeds", "pooler_output",
)  # fmt: skip
"""Names of entries that are the answer, best first."""
_DEPTH = 4
_SHOWN = 8


class Unanswered(TypeError):
    """No rule says which of the outputs is the answer."""


def answer(outputs: Any) -> Any:
    """Return the answer among a network's outputs; what no rule knows is returned as it is.

    Args:
        outputs: what the network returned; or, of a traced one, what stands for it in the graph.

    Raises:
        Unanswered: when a mapping has several entries and none that is known.
    """
    for _ in range(_DEPTH):
        if isinstance(outputs, Mapping):
            outputs = _entry(outputs)
        elif isinstance(outputs, tuple | list) and outputs:
            fields = getattr(outputs, "_fields", ())
            named = next((name for name in NAMES if name in fields), None)
            outputs = outputs[0] if named is None else getattr(outputs, named)
        else:
            break
    return outputs


def _entry(outputs: Mapping[Any, Any]) -> Any:
    for name in NAMES:
        if outputs.get(name) is not None:
            return outputs[name]
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    found = ", ".join(map(str, list(outputs)[:_SHOWN])) or "nothing"
    raise Unanswered(f"the network returned a mapping of {found}; expected {' or '.join(NAMES)}")
