"""Fifteen small face networks of as many families: 48 x 48 images, embeddings of 128 numbers.

All of them shrink the image early, so that one CPU core trains one in minutes, and each can be
traced by torch.fx. Activations and additions are modules or plain operators, one of its own at
every place, so that a rewriting of the graph can address each.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gauntlet.pipeline.models.architectures.zoo.densenet import DenseNet
from gauntlet.pipeline.models.architectures.zoo.efficientnet import EfficientNet
from gauntlet.pipeline.models.architectures.zoo.ghostnet import GhostNet
from gauntlet.pipeline.models.architectures.zoo.inception_resnet import InceptionResNet
from gauntlet.pipeline.models.architectures.zoo.iresnet import IResNet
from gauntlet.pipeline.models.architectures.zoo.mixer import Mixer
from gauntlet.pipeline.models.architectures.zoo.mobile import MobileFace
from gauntlet.pipeline.models.architectures.zoo.nfnet import NFNet
from gauntlet.pipeline.models.architectures.zoo.repvgg import RepVGG
from gauntlet.pipeline.models.architectures.zoo.resnet import ResNet
from gauntlet.pipeline.models.architectures.zoo.resnext import ResNeXt
from gauntlet.pipeline.models.architectures.zoo.se_resnet import SEResNet
from gauntlet.pipeline.models.architectures.zoo.shufflenet import ShuffleNet
from gauntlet.pipeline.models.architectures.zoo.vgg import VGG
from gauntlet.pipeline.models.architectures.zoo.vit import ViT

SIZE = 48
"""Height and width of the input."""

FAMILIES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "zoo-vgg": (VGG, "plain 3 x 3 convolutions and pooling"),
    "zoo-resnet": (ResNet, "basic residual blocks, projection shortcuts"),
    "zoo-mobile": (MobileFace, "inverted residuals, global depthwise convolution"),
    "zoo-densenet": (DenseNet, "every layer sees all earlier ones of its stage"),
    "zoo-vit": (ViT, "self-attention over 36 patches behind a convolutional stem"),
    "zoo-se-resnet": (SEResNet, "residual blocks with squeeze and excitation"),
    "zoo-repvgg": (RepVGG, "sums of 3 x 3, 1 x 1 and identity branches, no pooling"),
    "zoo-iresnet": (IResNet, "improved residual units with PReLU, spatial attention pooling"),
    "zoo-resnext": (ResNeXt, "bottlenecks with grouped convolutions"),
    "zoo-inception-resnet": (InceptionResNet, "residual inception modules"),
    "zoo-shufflenet": (ShuffleNet, "channel split and shuffle"),
    "zoo-nfnet": (NFNet, "residual blocks with standardised weights and no normalisation"),
    "zoo-ghostnet": (GhostNet, "half of the channels from cheap depthwise convolutions"),
    "zoo-efficientnet": (EfficientNet, "MBConv with SiLU and squeeze and excitation"),
    "zoo-mixer": (Mixer, "perceptrons over patches and over channels in turn"),
}
"""Name to (constructor, one line about the family)."""
