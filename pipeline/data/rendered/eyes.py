"""Eyes, brows and glasses. Both sides are painted at once, in coordinates folded at the middle."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.data.rendered.dice import Dice
from gauntlet.pipeline.data.rendered.face import Face, box, fade, lens, oval
from gauntlet.pipeline.data.rendered.hair import hair_colour
from gauntlet.pipeline.data.rendered.head import skin_colour

IRIS = (
    (0.22, 0.12, 0.06),
    (0.42, 0.27, 0.12),
    (0.35, 0.45, 0.22),
    (0.30, 0.50, 0.65),
    (0.50, 0.70, 0.90),
)
RIMS = (
    (0.05, 0.05, 0.06),
    (0.35, 0.20, 0.10),
    (0.60, 0.60, 0.62),
    (0.65, 0.10, 0.12),
    (0.10, 0.20, 0.50),
)


def spacing(who: Dice) -> Tensor:
    """Return the distance of the eyes from the middle, (B, 1, 1)."""
    return who.between("eye spacing", 0.22, 0.34)


def level(who: Dice) -> Tensor:
    """Return the height of the eyes, (B, 1, 1)."""
    return who.between("eye level", -0.2, -0.06)


def paint_eyes(face: Face) -> None:
    """Paint sockets, eyeballs, irises and lids."""
    who, now = face.who, face.now
    band = face.band(-0.7, 0.5)
    skin = skin_colour(who)
    across = band.u.abs() - spacing(who)
    y = band.v - level(who) - who.between("eye slant", -0.3, 0.2) * -across
    width, height = who.between("eye width", 0.095, 0.16), who.between("eye height", 0.04, 0.085)
    open_up = height * now.between("lids", 0.55, 1.15) * (1.0 - 0.85 * now.chance("blink", 0.03))
    socket = fade((across / 1.4).square() + (y + 0.03).square(), width * 1.15)
    band.paint(socket * who.between("socket", 0.0, 0.5), skin * 0.55)
    bags = fade((y - height - 0.04).square(), 0.035) * fade(across.square(), width)
    band.paint(bags * who.between("bags", -0.3, 0.5).clamp(min=0.0), skin * 0.5)
    ball = lens(across, y, width, open_up, open_up * 0.75)
    seen = band.inside(ball)
    band.paint(seen, torch.full_like(skin, 0.93))
    side = torch.where(band.u > 0, 1.0, -1.0)
    look = now.between("gaze", -0.35, 0.35) * width * side
    size = who.between("iris size", 0.042, 0.07)
    centre = across - look, y - now.between("gaze down", -0.012, 0.012)
    iris = band.inside(oval(*centre, size, size))
    band.paint(iris * seen, who.colour("iris", 0.03, stops=IRIS))
    pupil = band.inside(oval(*centre, size * 0.45, size * 0.45))
    band.paint(pupil * seen, torch.full_like(skin, 0.03))
    lid = (open_up * (1.0 - (across / width).square()) + y).abs()
    thick = who.between("lashes", 0.012, 0.04)
    within = (width * 1.08 - across.abs()) * 2.0
    lashes = torch.minimum(thick - lid, within)
    band.paint(band.inside(lashes) * 0.85, skin * 0.15)


def paint_brows(face: Face) -> None:
    """Paint the brows, which an expression raises and turns."""
    who, now = face.who, face.now
    band = face.band(-0.95, 0.2)
    across = band.u.abs() - spacing(who) - who.between("brow out", -0.03, 0.05)
    length = who.between("brow length", 0.11, 0.2)
    raised = who.between("brow height", 0.1, 0.2) + now.between("brow raise", -0.03, 0.05)
    tilt = who.between("brow tilt", -0.35, 0.3) + now.between("frown", -0.2, 0.2)
    arch = who.between("brow arch", -0.2, 1.0) * 4.0
    y = band.v - level(who) + raised + tilt * across + arch * (0.01 - across.square())
    taper = 1.0 - who.between("brow taper", -0.4, 0.8) * (across / length + 0.3)
    thick = who.between("brow thickness", 0.014, 0.052) * taper.clamp(0.2, 1.6)
    brow = torch.minimum(thick - y.abs(), length - across.abs())
    colour = hair_colour(who) * who.between("brow shade", 0.35, 0.9)[:, None]
    band.paint(band.inside(brow) * who.between("brow density", 0.55, 1.0), colour)


def paint_glasses(face: Face) -> None:
    """Paint the glasses of those who wear them, which are sometimes taken off; and sunglasses."""
    who, now = face.who, face.now
    band = face.band(-0.75, 0.55)
    sun = now.chance("sunglasses", 0.04)
    worn = who.chance("glasses", 0.35) * (1.0 - now.chance("glasses off", 0.1)) * (1.0 - sun)
    width, height = who.between("lens width", 0.15, 0.21), who.between("lens height", 0.1, 0.19)
    rounding = torch.minimum(width, height) * who.between("lens rounding", 0.2, 1.0)
    out = spacing(who) + who.between("lens out", -0.02, 0.02)
    out = torch.maximum(out, width + 0.025)
    top = band.v - level(who) - who.between("lens drop", -0.02, 0.05)
    glass = box(band.u.abs() - out, top, width, height, rounding)
    thick = who.between("rim", 0.018, 0.05)
    # Half-rimmed glasses have a thin lower edge.
    thin = who.chance("half rim", 0.3) * (top > 0) * 0.8
    rim = thick * (1.0 - thin) - glass.abs()
    bridge = torch.minimum(thick * 0.8 - (top + height * 0.35).abs(), out - width - band.u.abs())
    temple = torch.minimum(thick * 0.7 - (top + height * 0.5).abs(), band.u.abs() - out - width)
    temple = torch.minimum(temple, 0.75 - band.x.abs())
    frame = torch.maximum(torch.maximum(rim, bridge), temple)
    colour = who.colour("rims", 0.04, stops=RIMS)
    tint = who.between("lens tint", 0.0, 0.3)
    band.paint(band.inside(glass) * worn * tint, colour * 0.5 + 0.35)
    band.paint(band.inside(frame) * worn, colour)
    dark = box(
        band.u.abs() - now.between("sun out", 0.26, 0.3),
        band.v - level(who),
        shade := now.between("sun width", 0.2, 0.25),
        now.between("sun height", 0.14, 0.19),
        shade * 0.5,
    )
    link = torch.minimum(0.03 - (band.v - level(who) + 0.05).abs(), 0.7 - band.x.abs())
    cover = band.inside(torch.maximum(dark, link)) * sun
    band.paint(cover, now.colour("sun", stops=((0.03, 0.03, 0.04), (0.2, 0.1, 0.06))))
