"""HRNet-W18 (Wang 2020) as FaceX-Zoo has it for 112 x 112, with one stride at the stem."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gauntlet.pipeline.models.architectures.faces.resnet import Bottleneck
from gauntlet.pipeline.models.architectures.faces.units import EMBEDDING, conv

_WIDTHS = (18, 36, 72, 144)
_MODULES = {2: 1, 3: 4, 4: 3}
"""Modules of each stage; stage s has s branches."""


def _step(width: int, out: int, stride: int, active: bool = True) -> nn.Sequential:
    ending = [nn.ReLU()] if active else []
    return nn.Sequential(conv(width, out, 3, stride), nn.BatchNorm2d(out), *ending)


class Basic(nn.Module):
    """Two 3 x 3 convolutions, the input, and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv(width, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        branch = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(features)))))
        output: Tensor = self.relu2(branch + features)
        return output


def _bridge(source: int, target: int) -> nn.Module:
    """Return what brings the branch ``source`` to the width and size of ``target``."""
    width, out = _WIDTHS[source], _WIDTHS[target]
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            conv(width, out),
            nn.BatchNorm2d(out),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    steps = [_step(width, width, 2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, _step(width, out, 2, active=False))


class Module(nn.Module):
    """Four blocks in each branch, then every branch gets the sum of all, brought to its size."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(Basic(width) for _ in range(4))) for width in _WIDTHS[:branches]
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_bridge(source, target) for source in range(branches))
            for target in range(branches)
        )
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(branches))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return as many maps of the same shapes."""
        maps = [branch(one) for branch, one in zip(self.branches, maps, strict=True)]
        fused = []
        for bridges, relu in zip(self.fuse_layers, self.relus, strict=True):
            assert isinstance(bridges, nn.ModuleList)
            total = bridges[0](maps[0])
            for bridge, one in zip(list(bridges)[1:], maps[1:], strict=True):
                total = total + bridge(one)
            fused.append(relu(total))
        return fused


class HRNet(nn.Module):
    """Embeddings of 512 numbers, not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(3, 64, 3, 2)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(64, 64, 3)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu2 = nn.ReLU()
        self.layer1 = nn.Sequential(
            Bottleneck(64, 64, 256), *(Bottleneck(256, 64, 256) for _ in range(3))
        )
        self.transition1 = nn.ModuleList(
            [_step(256, _WIDTHS[0], 1), nn.Sequential(_step(256, _WIDTHS[1], 2))]
        )
        for stage, count in _MODULES.items():
            self.add_module(f"stage{stage}", nn.ModuleList(Module(stage) for _ in range(count)))
            if stage < 4:
                grown = nn.Sequential(_step(_WIDTHS[stage - 1], _WIDTHS[stage], 2))
                kept = [nn.Identity() for _ in range(stage)]
                self.add_module(f"transition{stage}", nn.ModuleList([*kept, grown]))
        outs = (128, 256, 512, 1024)
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(width, out // 4, out))
            for width, out in zip(_WIDTHS, outs, strict=True)
        )
        self.downsamp_modules = nn.ModuleList(
            nn.Sequential(conv(out, 2 * out, 3, 2, bias=True), nn.BatchNorm2d(2 * out), nn.ReLU())
            for out in outs[:3]
        )
        self.final_layer = nn.Sequential(
            conv(1024, 2048, bias=True), nn.BatchNorm2d(2048), nn.ReLU()
        )
        self.output_layer = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2048 * 7 * 7, EMBEDDING, bias=False),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings, (B, 512), of normalised images (B, 3, 112, 112)."""
        features = self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(images))))))
        features = self.layer1(features)
        maps = [step(features) for step in self.transition1]
        for stage in _MODULES:
            for module in getattr(self, f"stage{stage}"):
                maps = module(maps)
            if stage < 4:
                maps.append(getattr(self, f"transition{stage}")[stage](maps[-1]))
        total = self.incre_modules[0](maps[0])
        for position in range(3):
            lower = self.incre_modules[position + 1](maps[position + 1])
            total = lower + self.downsamp_modules[position](total)
        embedding: Tensor = self.output_layer(self.final_layer(total))
        return embedding
