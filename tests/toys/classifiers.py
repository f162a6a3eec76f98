"""Small classifiers and labelled images to train them on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gauntlet.pipeline.batch import Goal
from gauntlet.pipeline.data.examples import Examples, open_examples
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.model import Model, adapt
from gauntlet.pipeline.training.unattacked import Unattacked, apart

COUNT = 240
NOBODY = torch.zeros(0, dtype=torch.int64)


class Residual(nn.Module):
    """conv - norm - relu, one residual sum, a linear layer on the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.branch, self.relu = nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        self.drop, self.linear = nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.relu(self.norm(self.stem(images)))
        features = self.relu(features + self.branch(features))
        outputs: Tensor = self.linear(self.drop(features.mean((2, 3))))
        return outputs


def network() -> nn.Module:
    """The same random weights every time."""
    made = Residual()
    draws = Draws.keyed(0, ["weights"])
    with torch.no_grad():
        for name, value in made.named_parameters():
            if value.ndim > 1:
                scale = (2 / value[0].numel()) ** 0.5
                value.copy_(scale * draws.normal(name, value.shape)[0])
            elif not name.startswith("norm"):
                value.zero_()
    return made


def model(trained: bool = True) -> Model:
    """A classifier of `examples`: 100 plain updates, so that there is something to lose."""
    made = network()
    if trained:
        made.load_state_dict(_trained())
    return adapt(made.eval(), name="small")


@cache
def _trained() -> dict[str, Tensor]:
    made = network().eval()
    images, labels = colours()
    optimiser = torch.optim.Adam(made.parameters(), 0.02)
    for _ in range(100):
        loss = nn.functional.cross_entropy(made(images), labels)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return made.state_dict()


@cache
def _pixels() -> np.ndarray:
    """(COUNT, 8, 8, 3): class k has a little more of colour k, below strong noise."""
    noise = Draws.keyed(3, [f"image-{row}" for row in range(COUNT)]).uniform("pixels", (8, 8, 3))
    pixels = (60 + 120 * noise).numpy()
    pixels[np.arange(COUNT), :, :, np.arange(COUNT) % 3] += 16
    return pixels.round().astype(np.uint8)


def colours() -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(_pixels()).permute(0, 3, 1, 2).float() / 255
    return images, torch.arange(COUNT) % 3


def examples(folder: Path) -> Examples:
    np.savez(folder / "images.npz", images=_pixels(), labels=np.arange(COUNT) % 3)
    data = Npz(source="npz", path="images.npz")
    return open_examples(data, Goal.UNTARGETED, root=folder, seed=0)


def images(folder: Path) -> Unattacked:
    return apart(examples(folder), NOBODY)
