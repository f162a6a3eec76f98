"""The networks that a ``file:`` checkpoint can be loaded into, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from gauntlet.pipeline.models.architectures.mobilefacenet import (
    MobileFaceNet112,
    MobileFaceNet112x96,
)
from gauntlet.pipeline.models.architectures.zoo import FAMILIES, SIZE

_Triple = tuple[float, float, float]


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
    """

    constructor: Callable[..., nn.Module]
    task: Task
    input_size: tuple[int, int]
    mean: _Triple
    std: _Triple
    channels: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["bilinear", "bicubic", "crop"] = "bilinear"
    summary: str = ""

    def classes(self, **options: str | int | float | bool) -> int | None:
        """Return the number of logits, by the constructor's options.

        None for embeddings, and for a constructor that does not say.
        """
        asked = inspect.signature(self.constructor).parameters.get("num_classes")
        if self.task is Task.VERIFICATION or asked is None:
            return None
        return int(options.get("num_classes", asked.default))


_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF, _HALF_STD = (127.5 / 255,) * 3, (128 / 255,) * 3

ARCHITECTURES: dict[str, Architecture] = {
    **{
        f"cifar-resnet-{6 * blocks + 2}": Architecture(
            partial(CifarResNet, blocks),
            Task.CLASSIFICATION,
            (32, 32),
            _IMAGENET_MEAN,
            _IMAGENET_STD,
            summary=f"ResNet-{6 * blocks + 2} for CIFAR-10, identity shortcuts, 10 logits",
        )
        for blocks in (3, 5, 7, 9)
    },
    "mobilefacenet-112": Architecture(
        MobileFaceNet112,
        Task.VERIFICATION,
        (112, 112),
        _IMAGENET_MEAN,
        _IMAGENET_STD,
        summary="MobileFaceNet with ReLU6, embeddings of 128 numbers",
    ),
    "mobilefacenet-112x96": Architecture(
        MobileFaceNet112x96,
        Task.VERIFICATION,
        (112, 96),
        _HALF,
        _HALF_STD,
        # The 112 x 96 template is the 112 x 112 one without 8 columns on either side.
        resize="crop",
        summary="MobileFaceNet with PReLU, embeddings of 128 numbers",
    ),
    **{
        name: Architecture(
            constructor,
            Task.VERIFICATION,
            (SIZE, SIZE),
            (0.5,) * 3,
            (0.5,) * 3,
            summary=f"bundled zoo: {what}; embeddings of 128 numbers",
        )
        for name, (constructor, what) in FAMILIES.items()
    },
}
