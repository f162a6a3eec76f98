from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gauntlet.pipeline.models.architectures import ARCHITECTURES
from gauntlet.pipeline.models.architectures.efficientnet_lite import Conv2dSame
from gauntlet.pipeline.models.fold import fold_batch_norm
from gauntlet.pipeline.models.matching import entries_of
from gauntlet.pipeline.models.model import adapt


@pytest.mark.parametrize(
    ("number", "parameters", "blocks"), [(0, 4_652_008, 16), (1, 5_416_680, 21), (2, 6_092_072, 21)]
)
def test_sizes_are_the_published_ones(number: int, parameters: int, blocks: int) -> None:
    entries = entries_of(f"efficientnet-lite{number}")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    counted = sum(v.numel() for name, v in entries.items() if not name.endswith(statistics))
    assert counted == parameters
    numbers = {int(name.split(".")[1]) for name in entries if name.startswith("_blocks.")}
    assert numbers == set(range(blocks))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(8, 8), (9, 8), (7, 13)])
def test_strides_pad_as_tensorflow_does(kernel: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer, images = Conv2dSame(2, 2, kernel, 2), torch.randn(1, 2, *size)
    pads = []
    for side in reversed(size):
        total = max((-(-side // 2) - 1) * 2 + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    wanted = F.conv2d(F.pad(images, pads), layer.weight, layer.bias, stride=2)
    torch.testing.assert_close(layer(images), wanted)


def test_it_folds_and_has_a_gradient() -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES["efficientnet-lite0"].constructor(num_classes=5)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.uniform_(-1, 1)  # type: ignore[union-attr]
    model = adapt(network, input_size=(48, 33))
    folded = fold_batch_norm(model)
    assert folded.folded
    images = torch.rand(2, 3, 48, 33, requires_grad=True)
    torch.testing.assert_close(folded.model(images), model(images), rtol=1e-3, atol=1e-4)
    folded.model(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum(dim=(1, 2, 3)).min() > 0
