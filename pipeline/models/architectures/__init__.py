"""The networks that a ``file:`` checkpoint can be loaded into, by name."""

from __future__ import annotations

from functools import partial

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.architectures.architecture import (
    BY_127_AND_128,
    BY_128,
    HALF,
    IMAGENET,
    Architecture,
)
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from gauntlet.pipeline.models.architectures.efficientnet_lite import EfficientNetLite
from gauntlet.pipeline.models.architectures.faces import FACES
from gauntlet.pipeline.models.architectures.mobilefacenet import (
    MobileFaceNet112,
    MobileFaceNet112x96,
)
from gauntlet.pipeline.models.architectures.zoo import FAMILIES, SIZE

__all__ = ["ARCHITECTURES", "Architecture"]

ARCHITECTURES: dict[str, Architecture] = {
    **{
        f"cifar-resnet-{6 * blocks + 2}": Architecture(
            partial(CifarResNet, blocks),
            Task.CLASSIFICATION,
            (32, 32),
            *IMAGENET,
            summary=f"ResNet-{6 * blocks + 2} for CIFAR-10, identity shortcuts, 10 logits",
        )
        for blocks in (3, 5, 7, 9)
    },
    **{
        f"efficientnet-lite{number}": Architecture(
            partial(EfficientNetLite, width, depth),
            Task.CLASSIFICATION,
            (side, side),
            *BY_127_AND_128,
            summary=f"EfficientNet-Lite{number} for ImageNet, 1,000 logits",
            mark="_conv_stem.weight",
        )
        for number, (width, depth, side) in enumerate(
            [(1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 280), (1.4, 1.8, 300)]
        )
    },
    "mobilefacenet-112": Architecture(
        MobileFaceNet112,
        Task.VERIFICATION,
        (112, 112),
        *IMAGENET,
        summary="MobileFaceNet with ReLU6, embeddings of 128 numbers",
        embedding=128,
    ),
    "mobilefacenet-112x96": Architecture(
        MobileFaceNet112x96,
        Task.VERIFICATION,
        (112, 96),
        *BY_128,
        # The 112 x 96 template is the 112 x 112 one without 8 columns on either side.
        resize="crop",
        summary="MobileFaceNet with PReLU, embeddings of 128 numbers",
        embedding=128,
    ),
    **{
        name: Architecture(
            constructor,
            Task.VERIFICATION,
            (SIZE, SIZE),
            *HALF,
            summary=f"bundled zoo: {what}; embeddings of 128 numbers",
            embedding=128,
        )
        for name, (constructor, what) in FAMILIES.items()
    },
    **FACES,
}
