"""The cross-entropy whose derivatives keep their digits where a network is sure of a class.

softmax minus one-hot, the usual derivative, is the difference of two numbers near 1: in float32 it
is rounding noise once the class's probability is within 1e-7 of 1, in float64 within 1e-16. What
divides gradients by their length then follows the noise. The softmax's second derivative,
diag p - p p^T, has the same fault. Here every class is written by its distance from the leading
one, h_j - h_c, and the leading class's own probability never appears: all derivatives are sums of
numbers of one sign, right to the last digits, down to probabilities that underflow.
"""

from __future__ import annotations

import torch
from torch import Tensor


def log_softmax(logits: Tensor) -> Tensor:
    """Return log p_j, (..., C), with derivatives of any order that do not cancel.

    log p_j = (h_j - h_c) - log(1 + sum_{i != c} exp(h_i - h_c)), c the class with the greatest
    logit. Where that is not finite, all of the row is NaN: infinity is no answer.

    Args:
        logits: (..., C); those of half precision are taken to float32, whose exponents they need.
    """
    wide = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
    leader = wide.argmax(-1, keepdim=True)
    highest = wide.gather(-1, leader)
    highest = highest.where(highest.isfinite(), torch.nan)
    # The leader's own place is a constant: nothing is added to its derivative and taken off again.
    behind = (wide - highest).scatter(-1, leader, -torch.inf)
    others = behind.exp().sum(-1, keepdim=True)
    return behind.scatter(-1, leader, 0.0) - others.log1p()


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return -log p_y of each row, (R,): softplus(logsumexp over the other classes - h_y).

    Args:
        logits: (R, C).
        classes: y, int64 (R,).
    """
    return -log_softmax(logits).gather(-1, classes[:, None])[:, 0]
