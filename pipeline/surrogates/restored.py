"""Trained weights in a network that has no named architecture, as an `import:` source.

`file:` knows the architectures of `gauntlet models`. For torchvision's, timm's and your own
networks, a job names `import:pipeline.surrogates.restored:network` with the options `source` (the
original's), `file` (an absolute path) and whatever else the original's constructor takes.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.sources import find_source
from pipeline.models.spec import ModelSpec
from pipeline.problems import BadInput, Problem

_RANDOM = ("timm/", "torchvision/")


def network(source: str, file: str, **options: str | int | float | bool) -> nn.Module:
    """Return a source's network with the weights of a file, strictly loaded.

    Args:
        source: such as ``torchvision/resnet18``; nothing is downloaded.
        file: absolute path of a checkpoint of that network.
        options: the source's own options.

    Raises:
        BadInput: when the source is unknown, or the file does not fit it.
    """
    path = Path(file)
    if not path.is_absolute():
        raise BadInput(Problem("options", f"`file` must be an absolute path, got {file!r}"))
    if source.startswith(_RANDOM):
        options = {**options, "pretrained": False}
    spec = ModelSpec(name="restored", source=source, options=options)
    kind, rest = find_source(source)
    if found := kind.problems(rest, spec, path.parent):
        raise BadInput(found)
    made = kind.network(rest, spec, path.parent)
    load_checkpoint(path, made, source)
    return made
