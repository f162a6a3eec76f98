"""ResNeSt-50 (Zhang 2022) as FaceX-Zoo has it for 112 x 112; embeddings of length 1."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import conv, of_length_one, tail

_BLOCKS = (3, 4, 6, 3)


class SplitAttention(nn.Module):
    """Two groups of channels, weighted against each other by a softmax over the two."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(width // 2, 32)
        self.conv = conv(width, 2 * width, 3, groups=2)
        self.bn0 = nn.BatchNorm2d(2 * width)
        self.relu0 = nn.ReLU()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc1 = conv(width, inner, bias=True)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.fc2 = conv(inner, 2 * width, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        first, second = self.relu0(self.bn0(self.conv(features))).chunk(2, 1)
        asked = self.fc2(self.relu1(self.bn1(self.fc1(self.mean(first + second)))))
        weights = asked.unflatten(1, (2, -1)).softmax(1)
        output: Tensor = first * weights[:, 0] + second * weights[:, 1]
        return output


class Block(nn.Module):
    """A bottleneck around the split attention; the first of a stage pools."""

    def __init__(self, width: int, inner: int, stride: int) -> None:
        super().__init__()
        out = 4 * inner
        self.conv1 = conv(width, inner)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = SplitAttention(inner)
        self.pool: nn.Module = nn.AvgPool2d(3, 2, 1) if stride == 2 else nn.Identity()
        self.conv3 = conv(inner, out)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride == 2:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(2, 2, count_include_pad=False), conv(width, out), nn.BatchNorm2d(out)
            )
        self.relu3 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, 4 inner, H / stride, W / stride)."""
        branch = self.pool(self.conv2(self.relu1(self.bn1(self.conv1(features)))))
        branch = self.bn3(self.conv3(branch))
        output: Tensor = self.relu3(branch + self.downsample(features))
        return output


class ResNeSt50(nn.Module):
    """Embeddings of 512 numbers, of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(conv(3, 64, 3), nn.BatchNorm2d(64), nn.PReLU(64))
        self.output_layer = tail(2048)
        self.body = nn.Sequential()
        width = 64
        for stage, count in enumerate(_BLOCKS):
            inner = 64 << stage
            made = [Block(width, inner, 2)]
            made += [Block(4 * inner, inner, 1) for _ in range(count - 1)]
            self.body.add_module(f"layer{stage + 1}", nn.Sequential(*made))
            width = 4 * inner

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        return of_length_one(self.output_layer(self.body(self.input_layer(images))))
