"""What a photograph adds to a face: pose, background, things in the way, light and the camera."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.data.rendered.dice import Dice
from gauntlet.pipeline.data.rendered.face import Face, fade, stripes

ANYTHING = (
    (0.05, 0.05, 0.08),
    (0.85, 0.25, 0.2),
    (0.95, 0.85, 0.4),
    (0.3, 0.7, 0.35),
    (0.25, 0.45, 0.85),
    (0.95, 0.95, 0.95),
    (0.5, 0.4, 0.35),
)


def pose(size: int, who: Dice, now: Dice) -> Face:
    """Return blank sheets with the coordinates of heads that are turned, moved and scaled."""
    grid = (torch.arange(size, device=now.device) + 0.5) * (2.0 / size) - 1.0
    # tan(12 deg / 2) = 0.105
    half = now.between("roll", -0.105, 0.105)
    norm = 1.0 + half.square()
    cosine, sine = (1.0 - half.square()) / norm, 2.0 * half / norm
    zoom = now.between("zoom", 0.86, 1.14)
    right = grid[None, None, :] - now.between("shift x", -0.16, 0.16)
    down = grid[None, :, None] - now.between("shift y", -0.16, 0.16)
    x = (right * (cosine / zoom) + down * (sine / zoom)).contiguous()
    y = (down * (cosine / zoom) - right * (sine / zoom)).contiguous()
    yaw, pitch = now.between("yaw", -1.0, 1.0), now.between("pitch", -1.0, 1.0)
    u = x - yaw * 0.09
    u = u * (1.0 + yaw * 0.18 * u)
    v = y - pitch * 0.06
    blank = torch.zeros(len(x), 3, size, size, device=now.device)
    return Face(blank, x, y, u, v, 2.0 / size / zoom, who, now)


def paint_background(face: Face) -> None:
    """Paint two colours that run into each other, and a pattern."""
    now = face.now
    height, width = face.x.shape[1:]
    right = (torch.arange(width, device=now.device) * (2.0 / width) - 1.0)[None, None, :]
    down = (torch.arange(height, device=now.device) * (2.0 / height) - 1.0)[None, :, None]
    slope = right * now.between("back x", -1.0, 1.0) + down * now.between("back y", -1.0, 1.0)
    mix = (slope * 0.6 + 0.5).clamp(0.0, 1.0)[:, None]
    first = now.colour("back 1", 0.25, stops=ANYTHING)
    second = now.colour("back 2", 0.25, stops=ANYTHING)
    face.image.copy_(first + (second - first) * mix)
    wave = stripes(
        right * now.between("pattern x", -3.0, 3.0) + down * now.between("pattern y", -3.0, 3.0)
    )
    depth = now.level("pattern", 0.6, 0.2, 0.8) * (wave > 0.2)
    face.paint(depth, now.colour("back 3", 0.25, stops=ANYTHING))


def paint_occluder(face: Face) -> None:
    """Put a bar, about as wide as a hand, across a few of the faces."""
    now = face.now
    lean = now.between("bar lean", -1.0, 1.0)
    upright = now.chance("bar upright", 0.5) > 0
    near, far = torch.where(upright, face.x, face.y), torch.where(upright, face.y, face.x)
    across = near - now.between("bar place", -0.8, 0.8) - lean * far
    # The bar starts outside the image and ends somewhere in it.
    side = now.chance("bar side", 0.5) * 2.0 - 1.0
    reach = torch.minimum(
        now.between("bar width", 0.08, 0.17) - across.abs(),
        now.between("bar length", -0.2, 0.9) - far * side,
    )
    cover = face.inside(reach) * now.chance("bar", 0.1)
    face.paint(cover, now.colour("bar", 0.1, stops=ANYTHING))


def light(face: Face) -> None:
    """Light the scene: strength, direction, colour, and at times a shadow's edge."""
    now = face.now
    image = face.image
    across, down = now.between("light x", -0.85, 0.85), now.between("light y", -0.55, 0.55)
    falling = (1.0 + across * face.x + down * face.y).clamp_(0.3, 1.9)
    lean = now.between("shadow lean", -1.0, 1.0)
    edge = (face.x + lean * face.y - now.between("shadow place", -0.5, 0.5)) * (
        now.chance("shadow side", 0.5) * 2.0 - 1.0
    )
    dark = (edge * now.between("shadow edge", 2.0, 10.0)).clamp_(0.0, 1.0)
    falling = falling * (1.0 - dark * now.level("shadow", 0.35, 0.3, 0.6))
    warm, green = now.between("warmth", -0.4, 0.4), now.between("tint", -0.18, 0.18)
    gain = now.between("gain", 0.55, 1.6)
    colour = torch.stack((1.0 + warm, 1.0 + green, 1.0 - warm), 1) * gain[:, None]
    image.mul_(falling[:, None]).mul_(colour)
    lamp = (face.x - now.between("glare x", -0.9, 0.9)).square() + (
        face.y - now.between("glare y", -0.9, 0.9)
    ).square()
    image.add_((fade(lamp, 0.5) * now.level("glare", 0.15, 0.1, 0.35))[:, None])


def expose(image: Tensor, now: Dice) -> Tensor:
    """Return the 8-bit picture that the camera takes: contrast, haze, blur and noise.

    Args:
        image: light that arrives, float32 (B, 3, H, W).
        now: circumstances of the photographs.
    """
    # Reinhard 2002, eq. 4, with white at 2: bright light is compressed before it is cut off.
    image = image * (1.0 + image * 0.25) / (1.0 + image)
    contrast = now.between("contrast", 0.95, 1.6)[:, None]
    haze = now.between("haze", -0.06, 0.14)[:, None]
    image = (image * contrast + haze).clamp_(0.0, 1.0)
    side = image.shape[-1]
    weight = now.between("blur", -0.15, 0.24).clamp(min=0.0)[:, None]
    step = max(1, (side + 24) // 48)
    for axis in (2, 3):
        image = _blurred(image, axis, step, weight)
    return ((image + _noise(side, now)) * 255.0 + 0.5).floor().clamp_(0.0, 255.0).to(torch.uint8)


def _blurred(image: Tensor, axis: int, step: int, weight: Tensor) -> Tensor:
    """Return the image with a share of both neighbours along an axis mixed in."""
    length = image.shape[axis]
    place = torch.arange(length, device=image.device)
    before = image.index_select(axis, (place - step).clamp(min=0))
    after = image.index_select(axis, (place + step).clamp(max=length - 1))
    return image + weight * ((before - image) + (after - image))


def _noise(side: int, now: Dice) -> Tensor:
    """Return noise with a triangular density, (B, 3, side, side)."""
    bits = now.draws.bits("noise", (side, side), now.device)
    # One 64-bit number is six 10-bit ones: two for each channel.
    parts = [((bits >> shift) & 1023).float() for shift in range(0, 60, 10)]
    pairs = torch.stack([parts[2 * i] + parts[2 * i + 1] for i in range(3)], 1)
    strength = now.between("noise", 0.0, 0.035)[:, None]
    return (pairs * (1.0 / 1023.0) - 1.0) * strength
