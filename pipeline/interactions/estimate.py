"""What an estimator returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A quantity of each example with its sampling error.

    Attributes:
        value: float64 (B, ...); NaN exactly where the game had a non-finite value.
        standard_error: float64, shaped as ``value``; zero where the value is exact.
        finite: bool (B,), whether all values of the example are finite.
    """

    value: Tensor
    standard_error: Tensor
    finite: Tensor

    @classmethod
    def of(cls, value: Tensor, standard_error: Tensor | None = None) -> Estimate:
        """Return an estimate; without a standard error the value is exact."""
        error = torch.zeros_like(value) if standard_error is None else standard_error
        good = value.isfinite() & error.isfinite()
        return cls(
            value.masked_fill(~good, math.nan),
            error.masked_fill(~good, math.nan),
            good.flatten(1).all(1) if good.ndim > 1 else good,
        )

    @classmethod
    def of_samples(cls, samples: Tensor, share: float = 0.0) -> Estimate:
        """Return the mean over the last dimension with se = sd sqrt((1 - share) / K).

        Args:
            samples: float64 (B, ..., K), K >= 2, independent or drawn without replacement.
            share: K over the population's size when drawn without replacement, else 0.
        """
        count = samples.shape[-1]
        spread = samples.std(-1, correction=1)
        return cls.of(samples.mean(-1), spread * math.sqrt((1 - share) / count))

    def times(self, factor: float) -> Estimate:
        """Return the estimate of ``factor`` times the quantity."""
        return Estimate(self.value * factor, self.standard_error * abs(factor), self.finite)
