"""Residual attention networks 56 and 92 (Wang 2017) as FaceX-Zoo has them for 112 x 112."""

from __future__ import annotations

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv


class Residual(nn.Module):
    """A pre-activated bottleneck; files hold the shortcut's `conv4` whether it is used or not."""

    def __init__(self, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        inner = out // 4
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv1 = conv(width, inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv2 = conv(inner, inner, 3, stride)
        self.bn3 = nn.BatchNorm2d(inner)
        self.relu3 = nn.ReLU()
        self.conv3 = conv(inner, out)
        self.conv4 = conv(width, out, 1, stride)
        self.projects = width != out or stride != 1

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, out, H / stride, W / stride)."""
        active = self.relu1(self.bn1(features))
        branch = self.relu2(self.bn2(self.conv1(active)))
        branch = self.conv3(self.relu3(self.bn3(self.conv2(branch))))
        output: Tensor = branch + (self.conv4(active) if self.projects else features)
        return output


class Attention(nn.Module):
    """(1 + mask) * trunk; the mask comes down and up again, with skips, in ``levels`` steps.

    Args:
        width: channels.
        side: height and width of the map.
        levels: 3 in stage 1, 2 in stage 2, 1 in stage 3.
    """

    def __init__(self, width: int, side: int, levels: int) -> None:
        super().__init__()

        def one() -> Residual:
            return Residual(width, width)

        def two() -> nn.Sequential:
            return nn.Sequential(one(), one())

        self.levels = levels
        self.first_residual_blocks = one()
        self.trunk_branches = two()
        for level in range(1, levels + 1):
            self.add_module(f"pool{level}", nn.MaxPool2d(3, 2, 1))
            self.add_module(f"softmax{level}_blocks", two() if level == levels else one())
            if level < levels:
                self.add_module(f"skip{level}_connection_residual_block", one())
            size = side >> (level - 1)
            self.add_module(f"up{level}", nn.UpsamplingBilinear2d((size, size)))
            if level > 1:
                self.add_module(f"softmax{2 * levels - level + 1}_blocks", one())
        self.add_module(
            f"softmax{2 * levels}_blocks",
            nn.Sequential(
                nn.BatchNorm2d(width),
                nn.ReLU(),
                conv(width, width),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                conv(width, width),
                nn.Sigmoid(),
            ),
        )
        self.last_blocks = one()

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        features = self.first_residual_blocks(features)
        trunk = self.trunk_branches(features)
        downs: list[Tensor] = []
        inner = features
        for level in range(1, self.levels + 1):
            pooled = getattr(self, f"pool{level}")(inner)
            inner = getattr(self, f"softmax{level}_blocks")(pooled)
            downs.append(inner)
        for level in range(self.levels - 1, 0, -1):
            down = downs[level - 1]
            skip = getattr(self, f"skip{level}_connection_residual_block")(down)
            risen = getattr(self, f"up{level + 1}")(inner) + down + skip
            inner = getattr(self, f"softmax{2 * self.levels - level}_blocks")(risen)
        gate = getattr(self, f"softmax{2 * self.levels}_blocks")
        mask = gate(self.get_submodule("up1")(inner) + trunk)
        output: Tensor = self.last_blocks((1 + mask) * trunk)
        return output


class AttentionNet(nn.Module):
    """Embeddings of 512 numbers, not normalised.

    Args:
        modules: attention modules of the three stages.
    """

    def __init__(self, modules: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        layers: list[nn.Module] = [Residual(64, 256)]
        for stage, count in enumerate(modules):
            width, side = 256 << stage, 56 >> stage
            layers += [Attention(width, side, 3 - stage) for _ in range(count)]
            layers.append(Residual(width, 2 * width, 2))
        layers += [Residual(2048, 2048), Residual(2048, 2048)]
        self.attention_body = nn.Sequential(*layers)
        self.output_layer = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2048 * 7 * 7, EMBEDDING, bias=False),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        embedding: Tensor = self.output_layer(self.attention_body(self.conv1(images)))
        return embedding
