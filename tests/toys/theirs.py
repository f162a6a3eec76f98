"""Attacks as other people write them: functions of model, images and labels."""

from __future__ import annotations

import random

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


def vandal(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Leaves hooks and other weights behind, and torch in another type."""
    model.register_forward_hook(lambda module, inputs, output: output * 0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    torch.set_default_dtype(torch.float64)
    return images


def leaving(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    raise SystemExit("no GPU")


def pythons(model: nn.Module, images: Tensor, labels: Tensor) -> np.ndarray:
    """Draws from Python's generator; an array with negative strides."""
    moved = images.numpy() + np.float32(random.random() * 4 / 255)
    return moved[:, :, ::-1][:, :, ::-1][::-1].copy()[::-1]


def normalised(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return (images - 0.5) / 0.2
