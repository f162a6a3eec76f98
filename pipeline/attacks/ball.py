"""Which points an attack may visit: the norm ball around the clean image, inside [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.norms import l2, per_row


@dataclass(frozen=True)
class Ball:
    """All x' with ``|x' - x| <= epsilon`` and every pixel in [0, 1] (specification 0.3).

    Attributes:
        norm: ``linf`` or ``l2``.
        epsilon: radius; for l2 the absolute Euclidean norm over the 3HW entries of one example.
    """

    norm: Literal["linf", "l2"]
    epsilon: float

    def project(self, points: Tensor, clean: Tensor) -> Tensor:
        """Return the points (B, 3, H, W) moved into the ball, then into the box.

        The box can only shrink each entry of the perturbation, so both constraints hold.
        """
        if self.norm == "linf":
            points = torch.maximum(
                torch.minimum(points, clean + self.epsilon), clean - self.epsilon
            )
        else:
            delta = points - clean
            # One factor per example: an elementwise quotient is 0/0 where a pixel did not move.
            factor = (self.epsilon / l2(delta).clamp_min(1e-12)).clamp_max(1.0)
            points = clean + delta * per_row(factor, delta)
        return points.clamp(0.0, 1.0)

    def random_point(
        self, clean: Tensor, draws: Draws, start: Literal["ball", "box", "sign"] = "ball"
    ) -> Tensor:
        """Return a random start (specification 2.1, PGD).

        Args:
            clean: (B, 3, H, W).
            draws: one stream per row.
            start: ``ball``: uniform in the linf ball; in the l2 ball a Gaussian direction with a
                radius uniform in [0, epsilon]. ``box``, l2 only: a uniform image, scaled back to
                the sphere (the official IR code). ``sign``: every entry of the perturbation has the
                largest size that all can have, and a random sign (specification 2.9).
        """
        shape = tuple(clean.shape[1:])
        uniform = draws.uniform("start", shape, device=clean.device, dtype=clean.dtype)
        if start == "sign":
            entries = 1 if self.norm == "linf" else clean[0].numel()
            delta = torch.where(uniform < 0.5, -1.0, 1.0).to(clean) * self.epsilon / entries**0.5
        elif self.norm == "linf":
            delta = (2.0 * uniform - 1.0) * self.epsilon
        elif start == "box":
            delta = uniform - clean
        else:
            delta = draws.normal("start", shape, device=clean.device, dtype=clean.dtype)
            radius = draws.uniform("radius", device=clean.device, dtype=clean.dtype) * self.epsilon
            delta = delta * per_row(radius / l2(delta).clamp_min(1e-12), delta)
        return self.project(clean + delta, clean)

    def quantize(self, points: Tensor, clean: Tensor) -> Tensor:
        """Return the points rounded to 8 bits without leaving the ball (specification 0.3, trap 4).

        Rounds to nearest. A pixel whose nearest level lies outside the linf ball takes the nearest
        level inside; an example whose nearest levels leave the l2 ball is rounded towards its clean
        image. A pixel with no such level (a clean value off the 8-bit grid and a budget below half
        a level, or a pixel that stays between two levels) takes the level nearest to its clean
        value.
        """
        levels, origin = points.double() * 255.0, clean.double() * 255.0
        nearest = levels.round()
        if self.norm == "linf":
            slack = 1e-4  # of one level: float32 noise in 255 * x, and less than `run` lets pass
            low = (origin - 255.0 * self.epsilon - slack).ceil()
            high = (origin + 255.0 * self.epsilon + slack).floor()
            inside = torch.minimum(torch.maximum(nearest, low), high)
            rounded = torch.where(low <= high, inside, origin.round())
        else:
            slack = 1e-3  # of one level: nearer than that to a level counts as on it
            towards = torch.where(
                levels >= origin, (levels + slack).floor(), (levels - slack).ceil()
            )
            # Off the 8-bit grid the level towards the clean value may lie beyond it.
            low, high = torch.minimum(origin, levels), torch.maximum(origin, levels)
            between = (towards >= low - slack) & (towards <= high + slack)
            towards = torch.where(between, towards, origin.round())
            outside = l2(nearest - origin) > 255.0 * self.epsilon * (1 + 1e-6)
            rounded = torch.where(per_row(outside, nearest), towards, nearest)
        return (rounded.clamp(0.0, 255.0) / 255.0).to(points.dtype)
