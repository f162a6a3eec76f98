"""Input transforms in front of a target: bit reduction, random resize-and-pad, JPEG."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.resample import random_resize_pad_matrix
from gauntlet.pipeline.models.spec import Defence

Gradient = Literal["straight-through", "none"]


class TransformDefence(nn.Module):
    """A transform of canonical images, called as ``defence(images, draws)``.

    Images (B, 3, H, W), RGB in [0, 1], to the same shape; each row on its own. `str` says all that
    the transform depends on.

    Attributes:
        randomised: whether it draws random numbers, and so needs ``draws``.
    """

    randomised = False

    def forward(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the transformed images."""
        raise NotImplementedError


class BitReduction(TransformDefence):
    """Rounds every value to one of 2^bits levels: round(x (2^bits - 1)) / (2^bits - 1).

    Args:
        bits: bits kept, 1 to 8.
        gradient: what back-propagation sees, the identity or zero (rounding's true derivative,
            which in white box looks like robustness and is none).
    """

    def __init__(self, bits: int, gradient: Gradient = "straight-through") -> None:
        super().__init__()
        self.steps = 2**bits - 1
        self.bits, self.gradient = bits, gradient

    def forward(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the rounded images."""
        rounded = (images.detach() * self.steps).round() / self.steps
        return _passed(images, rounded, self.gradient)

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"bits={self.bits}, gradient={self.gradient}"


class Jpeg(TransformDefence):
    """Encodes and decodes each image, rounded to 8 bits, as a real JPEG (4:2:0 chroma).

    Args:
        quality: 1 to 100.
        gradient: what back-propagation sees, the identity or zero.
    """

    def __init__(self, quality: int, gradient: Gradient = "straight-through") -> None:
        super().__init__()
        self.quality, self.gradient = quality, gradient

    def forward(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the decoded images."""
        pixels = (images.detach() * 255).round().clamp(0, 255).to("cpu", torch.uint8)
        files = [encode_jpeg(image, quality=self.quality) for image in pixels]
        decoded = [decode_jpeg(file, mode=ImageReadMode.RGB) for file in files]
        if not decoded:
            return images
        return _passed(images, torch.stack(decoded).to(images) / 255, self.gradient)

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"quality={self.quality}, gradient={self.gradient}"


class ResizePad(TransformDefence):
    """Shrinks each image to a random size and pads it with zeros to its old one, anywhere.

    The share of both sides is uniform over the whole sizes from ``low`` H to H; bilinear. One draw
    per example, from its own stream, so that the batch it travels in changes nothing. It is linear
    in the image, A_v x A_h^T, and differentiable.

    Args:
        low: smallest side, as a share of the image's.
    """

    randomised = True

    def __init__(self, low: float) -> None:
        super().__init__()
        self.low = low

    def forward(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the shrunk and padded images.

        Raises:
            ValueError: without one stream of draws per image.
        """
        if draws is None or len(draws) != len(images):
            found = "none" if draws is None else f"{len(draws)} streams"
            raise ValueError(
                f"resize-pad is random: it needs draws keyed by example for {len(images)} images, "
                f"got {found}"
            )
        vertical, horizontal = (
            random_resize_pad_matrix(
                draws, "defence/resize-pad", axis, side, self.low, 1.0, "bilinear",
                images.dtype, images.device,
            )
            for axis, side in zip("vh", images.shape[2:], strict=True)
        )  # fmt: skip
        return vertical[:, None] @ images @ horizontal[:, None].mT

    def extra_repr(self) -> str:
        """Return the parameters."""
        return f"low={self.low}"


def make_defence(spec: Defence | None) -> TransformDefence | None:
    """Return the transform that a spec describes."""
    if spec is None:
        return None
    match spec.kind:
        case "bit-reduction":
            return BitReduction(spec.bits, spec.gradient)
        case "resize-pad":
            return ResizePad(spec.low)
        case "jpeg":
            return Jpeg(spec.quality, spec.gradient)


class _Passed(torch.autograd.Function):
    """Exactly the transformed values forward; the identity times ``weight`` backward."""

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx,
        images: Tensor,
        transformed: Tensor,
        weight: float,
    ) -> Tensor:
        context.weight = weight  # type: ignore[attr-defined]
        return transformed.clone()

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None]:
        weight: float = context.weight  # type: ignore[attr-defined]
        return gradients[0] * weight, None, None


def _passed(images: Tensor, transformed: Tensor, gradient: Gradient) -> Tensor:
    weight = 1.0 if gradient == "straight-through" else 0.0
    return cast(Tensor, _Passed.apply(images, transformed, weight))
