"""Makes the quickstart's files anew, in ten minutes on a CPU.

`python -m gauntlet.jobs.bundled.quickstart.train`
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from gauntlet.jobs.bundled.quickstart.shapes import CLASSES, draw
from gauntlet.pipeline.models.quickstart.networks import HERE, NETWORKS

TRAIN_SEED, TEST_SEED = 1, 2
TRAIN, TEST = 8192, 512
EPOCHS, BATCH = 16, 64


def _tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return pixels.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels)


def train(name: str, data: tuple[Tensor, Tensor], seed: int) -> nn.Module:
    """Train one network with AdamW and a one-cycle schedule."""
    images, labels = data
    torch.manual_seed(seed)
    network = nn.Sequential(nn.BatchNorm2d(3, affine=False), NETWORKS[name]())
    network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images))[: len(images) // BATCH * BATCH].reshape(-1, BATCH):
            loss = F.cross_entropy(network(images[rows]), labels[rows], label_smoothing=0.05)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    return network.eval()


def main() -> None:
    """Draw the images beside this file, train the networks, write them beside their module."""
    torch.set_num_threads(1)
    images, labels = draw(TEST, TEST_SEED)
    shapes = Path(__file__).with_name("shapes.npz")
    np.savez_compressed(shapes, images=images, labels=labels, classes=CLASSES)
    test, data = _tensors(images, labels), _tensors(*draw(TRAIN, TRAIN_SEED))
    for seed, name in enumerate(NETWORKS):
        started = time.perf_counter()
        network = train(name, data, seed)
        state = {key: value.half().contiguous() for key, value in network.state_dict().items()
                 if not key.endswith("num_batches_tracked")}  # fmt: skip
        save_file(state, HERE / f"{name}.safetensors")
        with torch.inference_mode():
            right = (network(test[0]).argmax(1) == test[1]).float().mean()
        size = sum(value.numel() for value in network.parameters())
        print(f"{name}: {size} parameters, {100 * right:.1f} % of {TEST} test images, "
              f"{time.perf_counter() - started:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
