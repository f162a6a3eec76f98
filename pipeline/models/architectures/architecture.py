"""What is said of a network that checkpoint files can be loaded into."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.preprocessing import Preprocessing, Triple

IMAGENET: tuple[Triple, Triple] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and std of ImageNet's pixels."""
HALF: tuple[Triple, Triple] = (0.5,) * 3, (0.5,) * 3
"""(u - 127.5) / 127.5 of pixels u in 0..255."""
BY_128: tuple[Triple, Triple] = (127.5 / 255,) * 3, (128 / 255,) * 3
"""(u - 127.5) / 128."""
BY_127_AND_128: tuple[Triple, Triple] = (127 / 255,) * 3, (128 / 255,) * 3
"""(u - 127) / 128."""
AS_THEY_ARE: tuple[Triple, Triple] = (0.0,) * 3, (1.0,) * 3
"""u / 255."""


@dataclass(frozen=True)
class Architecture:
    """A network's constructor and the convention of its input.

    Attributes:
        constructor: makes the network, with random weights.
        task: what its output is for.
        input_size: height and width.
        mean: per channel, in [0, 1] units.
        std: per channel, in [0, 1] units.
        channels: channel order.
        resize: how an image of another size is brought to the input size.
        summary: one line for `gauntlet models`.
        unused: beginnings of entries that published files hold and the network does without, such
            as the classes of its training set.
        mark: an entry that no file of the network lacks, whatever stands before its name; files
            without it are not compared with the network.
        embedding: numbers of an embedding.
        publisher: name of who published it, in `gauntlet.pipeline.models.architectures.faces`.
    """

    constructor: Callable[..., nn.Module]
    task: Task
    input_size: tuple[int, int]
    mean: Triple
    std: Triple
    channels: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["bilinear", "bicubic", "crop"] = "bilinear"
    summary: str = ""
    unused: tuple[str, ...] = ()
    mark: str = ""
    embedding: int | None = None
    publisher: str | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """The convention by itself."""
        return Preprocessing(self.input_size, self.mean, self.std, self.channels, self.resize)

    def classes(self, **options: str | int | float | bool) -> int | None:
        """Return the number of logits, by the constructor's options.

        None for embeddings, and for a constructor that does not say.
        """
        asked = inspect.signature(self.constructor).parameters.get("num_classes")
        if self.task is Task.VERIFICATION or asked is None:
            return None
        return int(options.get("num_classes", asked.default))
