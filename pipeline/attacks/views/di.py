"""DI: input diversity, a random resize and pad (specification 2.3)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.views.view import View
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.resample import random_resize_pad_matrix, resize_pad_matrix
from gauntlet.pipeline.spec import Probability


@register
class InputDiversity(View):
    """With probability p resize to a random side r and pad at a random offset.

    Two forms, told apart by ``low`` and ``high`` (shares of the image's side H):

    * shrink (``high`` = 1): r in [low H, H], padded back to H. RobFR's form; the natural one for
      face networks of fixed input size, with p added.
    * enlarge (``low`` = 1): r in [H, high H], padded to high H, resized back to H. The form of
      SVRE's and FIA's code for ImageNet. The paper feeds the padded image itself to the network,
      which an adapter with a fixed input size would resize back in any case.

    One draw per example, model and step. It is linear in the image, so it is applied as two small
    matrices per example, A_v x A_h^T, whose gradient is the exact adjoint.
    """

    token = "di"
    paper = "Xie 2019"
    order: ClassVar[int] = 2
    p: Probability = 0.5
    """Probability of the transform; RGEA uses 0.8."""
    preset: Literal["shrink", "enlarge"] = "shrink"
    """Which form; sets the defaults of `low` and `high`."""
    low: float = Field(default=0.0, gt=0)
    """Smallest side, as a share of H. Default 0.9 (shrink), 1 (enlarge)."""
    high: float = Field(default=0.0, gt=0, le=2)
    """Side of the padded canvas, as a share of H. Default 1 (shrink), 1.1 (enlarge)."""
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    """How samples are interpolated, there and back."""
    pad: Probability = 0.0
    """Value of the padding in [0, 1]: 0 is black, 0.5 the zero of code in [-1, 1]."""
    shared: bool = False
    """Whether all surrogates see the same draw (lowers the variance of the Gram matrix)."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        low, high = (1.0, 1.1) if data.get("preset") == "enlarge" else (0.9, 1.0)
        return {"low": low, "high": high, **data}

    @model_validator(mode="after")
    def _ordered(self) -> InputDiversity:
        shrinks, enlarges = self.high == 1 and self.low < 1, self.low == 1 and self.high > 1
        if not (shrinks if self.preset == "shrink" else enlarges):
            raise ValueError(
                "shrink needs low < high = 1, enlarge needs low = 1 < high; "
                f"got {self.preset} with low {self.low} and high {self.high}"
            )
        return self

    @property
    def shared_draw(self) -> bool:
        """Whether all surrogates see the same draw."""
        return self.shared

    def apply(self, images: Tensor, copy: tuple[int, ...], draws: Draws) -> Tensor:
        """Return the images resized and padded, each by its own draw, (B, 3, H, W)."""
        if self.p == 0:
            return images
        chosen = draws.uniform(f"di/p/{copy}") < self.p
        vertical, horizontal = (
            self._axis(images, axis, side, copy, draws, chosen)
            for axis, side in zip("vh", images.shape[2:], strict=True)
        )
        centred = images - self.pad if self.pad else images
        moved = vertical[:, None] @ centred @ horizontal[:, None].mT
        return moved + self.pad if self.pad else moved

    def _axis(
        self,
        images: Tensor,
        axis: str,
        side: int,
        copy: tuple[int, ...],
        draws: Draws,
        chosen: Tensor,
    ) -> Tensor:
        """Return each example's matrix along one axis, (B, side, side); identity if not chosen."""
        kind = (self.interpolation, images.dtype, images.device)
        there = random_resize_pad_matrix(
            draws, f"di/{copy}", axis, side, self.low, self.high, *kind
        )
        canvas = there.shape[1]
        if canvas != side:
            whole = torch.tensor([side])
            there = resize_pad_matrix(canvas, side, whole, whole * 0, *kind) @ there
        identity = torch.eye(side, dtype=images.dtype, device=images.device)
        return torch.where(chosen.to(images.device)[:, None, None], there, identity)
