"""Hair of the head and the beard."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.data.rendered.dice import Dice
from gauntlet.pipeline.data.rendered.face import Face, bump, fade, stripes
from gauntlet.pipeline.data.rendered.head import Outline, half_width, mouth_height, nose_tip

HAIR = (
    (0.05, 0.04, 0.05),
    (0.17, 0.10, 0.07),
    (0.38, 0.24, 0.14),
    (0.60, 0.27, 0.12),
    (0.82, 0.64, 0.36),
    (0.92, 0.86, 0.70),
    (0.72, 0.72, 0.73),
    (0.42, 0.42, 0.44),
)


def hair_colour(who: Dice) -> Tensor:
    """Return the colour of the hair, (B, 3, 1, 1)."""
    return who.colour("hair", 0.04, stops=HAIR)


def bald(who: Dice) -> Tensor:
    """Return 1 for those without hair on the head, (B, 1, 1)."""
    return who.chance("bald", 0.07)


def _length(who: Dice) -> Tensor:
    """Return how far down the hair falls: 0.45 of the people wear it below the ears."""
    short = who.between("short hair", -0.35, 0.05)
    return torch.where(who.chance("long", 0.45) > 0, who.between("long hair", 0.3, 1.3), short)


def _strands(face: Face) -> Tensor:
    """Return the light and dark of the strands, (B, H, W)."""
    who = face.who
    run = face.x * who.between("strand x", 5.0, 11.0) + face.y * who.between("strand y", -4.0, 4.0)
    wave = stripes(run + face.x * face.y * who.between("strand bend", -8.0, 8.0))
    return 1.0 + who.between("strands", 0.03, 0.16) * wave


def _outer(face: Face, head: Outline) -> Tensor:
    """Return about the signed distance to the outside of the hair."""
    who, now = face.who, face.now
    curl = who.level("curls", 0.35, 0.01, 0.04)
    rate = who.between("curl rate", 2.5, 5.0)
    volume = (
        1.0
        + who.between("hair top", 0.04, 0.3) * bump(head.fall, -1.0, 0.8)
        + who.between("hair sides", 0.02, 0.26) * bump(head.fall, -0.25, 0.75)
        + now.between("hair volume", -0.02, 0.04)
        + curl * (stripes(face.x * rate) + stripes(face.y * rate))
    )
    return head.radius * volume - head.reach


def paint_back_hair(face: Face, head: Outline) -> None:
    """Paint what falls behind the head."""
    who = face.who
    outer = _outer(face, head)
    spread = half_width(who) + who.between("hair sides", 0.02, 0.26) * 0.7
    flare = who.between("hair flare", -0.15, 0.25)
    curtain = spread + flare * face.y - face.x.abs()
    curtain = torch.minimum(curtain, _length(who) - face.y)
    curtain = torch.minimum(curtain, face.y + 0.2)
    cover = face.inside(torch.maximum(outer, curtain)) * (1.0 - bald(who))
    cover = cover * torch.where(face.y < _length(who), 1.0, 0.0)
    face.paint(cover, hair_colour(who) * 0.8 * _strands(face)[:, None])


def paint_hair(face: Face, head: Outline) -> None:
    """Paint what frames the face: hairline, parting or fringe, and sides."""
    who = face.who
    parting = who.between("parting", -0.28, 0.28)
    x = face.x - parting
    fringe = who.chance("fringe", 0.35)
    high = who.between("hairline", -0.68, -0.48)
    low = who.between("fringe height", -0.46, -0.33)
    start = torch.where(fringe > 0, low, high)
    bend = torch.where(
        fringe > 0, who.between("fringe bend", -0.3, 0.4), who.between("hairline bend", 0.2, 1.0)
    )
    recede = who.level("receding", 0.3, 0.1, 0.35) * (1.0 - fringe)
    line = (
        start
        + bend * x.square()
        + who.between("sweep", -0.3, 0.3) * x
        - recede * bump(x.abs(), 0.25, 0.22)
    )
    line = line.clamp(max=-0.25)
    sides = torch.minimum(
        face.x.abs() - half_width(who) * who.between("temple hair", 0.82, 1.0),
        _length(who) + 0.05 - face.y,
    )
    front = torch.maximum(line - face.y, sides)
    cover = face.inside(torch.minimum(_outer(face, head), front)) * (1.0 - bald(who))
    face.paint(cover, hair_colour(who) * _strands(face)[:, None])


def paint_beard(face: Face, head: Outline) -> None:
    """Paint stubble, moustache, chin beard and whiskers, each worn or not."""
    who = face.who
    band = face.band(-0.3, 1.0)
    bearded = who.chance("bearded", 0.4)
    rows = slice(face.x.shape[1] - band.x.shape[1], None)
    reach, fall, radius = head.reach[:, rows], head.fall[:, rows], head.radius[:, rows]
    mouth, tip = mouth_height(who), nose_tip(who)
    edge = reach / radius
    inside = band.inside(radius * 1.03 - reach)
    mouth_gap = fade((band.u / 2.2).square() + (band.v - mouth).square(), 0.1)
    jaw = band.inside(edge - who.between("beard edge", 0.62, 0.85), 3.0) * (fall > 0.05)
    chin = band.inside(who.between("goatee", 0.12, 0.3) - band.u.abs(), 2.0) * band.inside(
        band.v - mouth - who.between("goatee top", 0.06, 0.14), 2.0
    )
    droop = who.between("moustache droop", 0.0, 1.2)
    middle = (tip + mouth) * 0.5 + 0.015
    lip = torch.minimum(
        who.between("moustache thickness", 0.025, 0.06)
        - (band.v - middle - droop * band.u.square()).abs(),
        who.between("moustache width", 0.12, 0.27) - band.u.abs(),
    )
    low = band.inside(band.v - tip, 4.0)
    stubble = who.level("stubble", 0.5, 0.15, 0.4) * torch.maximum(jaw, low)
    cover = torch.maximum(
        torch.maximum(
            who.level("whiskers", 0.45, 0.6, 0.95) * jaw,
            who.level("chin beard", 0.5, 0.6, 0.95) * chin,
        ),
        stubble,
    ) * (1.0 - mouth_gap)
    cover = torch.maximum(cover, who.level("moustache", 0.55, 0.6, 0.95) * band.inside(lip))
    shade = who.between("beard shade", 0.6, 1.05)
    band.paint(cover * inside * bearded, hair_colour(who) * shade[:, None])
