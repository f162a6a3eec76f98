"""Attacks as other people write them: functions of model, images and labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def fgsm(model: nn.Module, images: Tensor, labels: Tensor, eps: float = 8 / 255) -> Tensor:
    leaf = images.clone().requires_grad_()
    loss = nn.functional.cross_entropy(model(leaf), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return (images + eps * gradient.sign()).clamp(0, 1)


def noisy(model: nn.Module, images: Tensor, labels: Tensor) -> np.ndarray:
    """Draws from both generators; returns an array in float64."""
    drawn = torch.rand_like(images).numpy() + np.random.rand(*images.shape)
    return images.numpy() + (drawn - 1) * 4 / 255


def smaller(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return images[:, :, 1:]


def levels(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return images * 255


def nothing(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    return None


def hole(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """NaN in the first image."""
    found = images.clone()
    found[0, 0, 0, 0] = torch.nan
    return found
