"""TI: translation invariance, a smoothed gradient (specification 2.3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from gauntlet.pipeline.attacks.filters.filter import Filter
from gauntlet.pipeline.attacks.part import register


@lru_cache(maxsize=32)
def gaussian_line(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the normalised 1-D kernel of the official code, (size,): sigma = (size - 1) / 6 px."""
    if size == 1:
        return torch.ones(1, dtype=dtype, device=device)
    line = torch.exp(-0.5 * torch.linspace(-3, 3, size, dtype=torch.float64).square())
    return (line / line.sum()).to(device, dtype)


@register
class TranslationInvariance(Filter):
    """g <- W * g: depth-wise convolution with a normalised Gaussian of K x K pixels.

    The kernel is separable, so it is applied as two lines. sigma = (K - 1) / 6 pixels as in the
    official code (the paper's k / sqrt(3) is wider).
    """

    token = "ti"
    paper = "Dong 2019"
    random = False
    cost = "k + a convolution"
    kernel: int = Field(7, ge=1)
    """K, odd: 7 (RGEA, RobFR), 15 (paper, for 299 px)."""
    padding: Literal["zeros", "circular"] = "zeros"
    """What lies beyond the border."""

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"the kernel size must be odd, got {kernel}")
        return kernel

    def apply(self, gradient: Tensor) -> Tensor:
        """Return the smoothed gradient, (B, 3, H, W)."""
        if self.kernel == 1:
            return gradient
        line = gaussian_line(self.kernel, gradient.dtype, gradient.device)
        half = self.kernel // 2
        mode = "constant" if self.padding == "zeros" else "circular"
        padded = F.pad(gradient, (half, half, half, half), mode=mode)
        flat = padded.flatten(0, 1)[:, None]
        flat = F.conv2d(F.conv2d(flat, line.view(1, 1, -1, 1)), line.view(1, 1, 1, -1))
        return flat.reshape(gradient.shape)
