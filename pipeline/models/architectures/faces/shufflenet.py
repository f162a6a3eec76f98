"""RobFR's ShuffleNets v1 and v2 with a global depthwise convolution, for 112 x 112."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.mobilenet import global_depthwise
from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv

_GROUPS = 3
_V1 = ((2, 240, 4), (3, 480, 8), (4, 960, 4))
"""Number of the stage, channels, units (Zhang 2018)."""
_V2 = ((116, 4), (232, 8), (464, 4))
"""Channels and units of the stages (Ma 2018)."""


class Shuffle(nn.Module):
    """Interleaves groups of channels."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        return torch.unflatten(features, 1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class GroupConv(nn.Module):
    """A 1 x 1 convolution in groups and batch norm, and ReLU if ``active``."""

    def __init__(self, width: int, out: int, groups: int, active: bool) -> None:
        super().__init__()
        self.conv1x1 = conv(width, out, groups=groups, bias=True)
        self.batch_norm = nn.BatchNorm2d(out)
        self.relu: nn.Module = nn.ReLU() if active else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H, W)."""
        output: Tensor = self.relu(self.batch_norm(self.conv1x1(features)))
        return output


class UnitV1(nn.Module):
    """A unit of version 1; with stride 2 it is joined to the pooled input, else added to it."""

    def __init__(self, width: int, out: int, groups: int, stride: int) -> None:
        super().__init__()
        inner = out // 4
        self.g_conv_1x1_compress = GroupConv(width, inner, groups, active=True)
        self.shuffle = Shuffle(_GROUPS)
        self.depthwise_conv3x3 = conv(inner, inner, 3, stride, inner, bias=True)
        self.bn_after_depthwise = nn.BatchNorm2d(inner)
        made = out - width if stride == 2 else out
        self.g_conv_1x1_expand = GroupConv(inner, made, groups, active=False)
        self.pool = nn.AvgPool2d(3, 2, 1) if stride == 2 else None
        self.relu = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        branch = self.shuffle(self.g_conv_1x1_compress(features))
        branch = self.bn_after_depthwise(self.depthwise_conv3x3(branch))
        branch = self.g_conv_1x1_expand(branch)
        if self.pool is None:
            output: Tensor = self.relu(features + branch)
        else:
            output = self.relu(torch.cat((self.pool(features), branch), 1))
        return output


class ShuffleNetV1(nn.Module):
    """Three groups; embeddings of 512 numbers, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(3, 24, 3, bias=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        width = 24
        for stage, out, count in _V1:
            units = nn.Sequential()
            for unit in range(count):
                # The few channels of the stem are not grouped.
                groups = 1 if width == 24 else _GROUPS
                made = UnitV1(width, out, groups, 2 if unit == 0 else 1)
                units.add_module(f"ShuffleUnit_Stage{stage}_{unit}", made)
                width = out
            self.add_module(f"stage{stage}", units)
        self.linear7 = global_depthwise(width, 7)
        self.fc = nn.Linear(width, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.maxpool(self.conv1(images))
        for stage, _, _ in _V1:
            features = getattr(self, f"stage{stage}")(features)
        embedding: Tensor = self.fc(self.linear7(features).flatten(1))
        return embedding


class UnitV2(nn.Module):
    """A unit of version 2: half of the channels pass, or with stride 2 have a branch of their own.

    The published names do spell `banch`.
    """

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        half = out // 2
        entry = width if stride == 2 else half
        if stride == 2:
            self.banch1 = nn.Sequential(
                conv(width, width, 3, 2, width),
                nn.BatchNorm2d(width),
                conv(width, half),
                nn.BatchNorm2d(half),
                nn.ReLU(),
            )
        self.banch2 = nn.Sequential(
            conv(entry, half),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            conv(half, half, 3, stride, half),
            nn.BatchNorm2d(half),
            conv(half, half),
            nn.BatchNorm2d(half),
            nn.ReLU(),
        )
        self.passing, self.stride = half, stride
        self.shuffle = Shuffle(2)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        if self.stride == 2:
            halves = self.banch1(features), self.banch2(features)
        else:
            halves = features[:, : self.passing], self.banch2(features[:, self.passing :])
        output: Tensor = self.shuffle(torch.cat(halves, 1))
        return output


class ShuffleNetV2(nn.Module):
    """Width 1 and stride 1 at the stem; embeddings of 512 numbers, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(conv(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU())
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        width = 24
        units = []
        for out, count in _V2:
            for unit in range(count):
                units.append(UnitV2(width, out, 2 if unit == 0 else 1))
                width = out
        self.features = nn.Sequential(*units)
        self.conv_last = nn.Sequential(conv(width, 1024), nn.BatchNorm2d(1024), nn.ReLU())
        self.linear7 = global_depthwise(1024, 7)
        self.classifier = nn.Sequential(nn.Linear(1024, EMBEDDING))

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.conv_last(self.features(self.maxpool(self.conv1(images))))
        embedding: Tensor = self.classifier(self.linear7(features).flatten(1))
        return embedding
