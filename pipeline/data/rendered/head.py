"""The head: outline, skin, ears, neck, and the marks on the skin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.data.rendered.dice import Dice
from gauntlet.pipeline.data.rendered.face import Face, bump, fade, lens, oval

SKIN = ((0.98, 0.83, 0.74), (0.93, 0.73, 0.58), (0.74, 0.52, 0.38), (0.42, 0.28, 0.20))
CLOTHES = ((0.1, 0.1, 0.2), (0.8, 0.2, 0.2), (0.9, 0.9, 0.9), (0.2, 0.6, 0.3), (0.2, 0.3, 0.8))
LIPS = ((0.80, 0.50, 0.45), (0.75, 0.35, 0.35), (0.60, 0.30, 0.28), (0.78, 0.16, 0.24))
MOLES = 4


@dataclass(frozen=True)
class Outline:
    """The head in polar coordinates.

    Attributes:
        reach: distance of every pixel from the head's centre, (B, H, W).
        fall: its direction, from -1 (straight up) to 1 (straight down).
        radius: distance of the outline in that direction.
    """

    reach: Tensor
    fall: Tensor
    radius: Tensor


def half_width(who: Dice) -> Tensor:
    """Return the head's half-width at the height of the eyes, (B, 1, 1)."""
    return who.between("head width", 0.48, 0.64)


def skin_colour(who: Dice) -> Tensor:
    """Return the colour of the skin, (B, 3, 1, 1)."""
    return who.colour("skin", 0.05, stops=SKIN)


def outline(face: Face) -> Outline:
    """Return the outline: an oval with its own cheeks, jaw, chin and temples."""
    who = face.who
    reach = (face.x.square() + face.y.square()).sqrt().clamp_(min=1e-3)
    fall = face.y / reach
    low, high = who.between("chin", 0.68, 0.9), who.between("crown", 0.72, 0.84)
    height = torch.where(face.y > 0, low, high)
    square = fall.square()
    oblate = (1.0 - square) / half_width(who).square() + square / height.square()
    shape = (
        1.0
        + who.between("temples", -0.06, 0.08) * bump(fall, -0.45, 0.45)
        + who.between("cheeks", -0.06, 0.09) * bump(fall, 0.35, 0.35)
        + who.between("jaw", -0.12, 0.13) * bump(fall, 0.75, 0.3)
        + who.between("chin point", -0.06, 0.06) * bump(fall, 1.0, 0.15)
    )
    return Outline(reach, fall, shape / oblate.sqrt())


def paint_body(face: Face) -> None:
    """Paint clothes, of any colour in any photograph, and the neck."""
    lower = face.band(0.1, 1.0)
    skin = skin_colour(face.who)
    collar = face.now.between("collar", 0.82, 1.05)
    slope = face.now.between("shoulders", 0.15, 0.5)
    clothes = lower.y - collar - slope * (lower.x.square() - 0.2)
    lower.paint(lower.inside(clothes), face.now.colour("clothes", 0.2, stops=CLOTHES))
    width = face.who.between("neck", 0.26, 0.44)
    neck = torch.minimum(width - lower.x.abs(), collar + 0.12 - lower.y - lower.x.square() * 0.5)
    neck = torch.minimum(neck, lower.y)
    lower.paint(lower.inside(neck), skin * 0.78)


def paint_head(face: Face, head: Outline) -> None:
    """Paint ears and skin."""
    who = face.who
    skin = skin_colour(who)
    middle = face.band(-0.75, 0.75)
    size = who.between("ear size", 0.10, 0.19)
    sideways = middle.x.abs() - half_width(who) - who.between("ear spread", -0.06, 0.06)
    ears = oval(sideways, middle.y - who.between("ear height", -0.08, 0.1), size * 0.6, size)
    middle.paint(middle.inside(ears), skin * 0.85)
    edge = (head.reach / head.radius).square()
    round_off = 1.06 - 0.2 * edge.square()
    blush = who.between("blush", -0.02, 0.12) * fade(
        (face.u.abs() - 0.32).square() + (face.v - 0.2).square(), 0.3
    )
    redder = torch.tensor((0.6, -0.4, -0.4), device=face.x.device)[:, None, None]
    colour = skin * round_off[:, None] + blush[:, None] * redder
    face.paint(face.inside(head.radius - head.reach), colour)


def paint_marks(face: Face) -> None:
    """Paint the moles, the scar and the birthmark that a person has."""
    who = face.who
    band = face.band(-0.85, 0.98)
    skin = skin_colour(who)
    birthmark = who.level("birthmark", 0.2, 0.25, 0.6) * fade(
        (band.u - who.between("birthmark x", -0.4, 0.4)).square()
        + (band.v - who.between("birthmark y", -0.6, 0.6)).square(),
        who.between("birthmark size", 0.12, 0.26),
    )
    band.paint(birthmark, who.colour("birthmark", stops=((0.6, 0.2, 0.2), (0.35, 0.2, 0.12))))
    for index in range(MOLES):
        name = f"mole {index}"
        cover = band.inside(
            oval(
                band.u - who.between(f"{name} x", -0.42, 0.42),
                band.v - who.between(f"{name} y", -0.5, 0.68),
                size := who.between(f"{name} size", 0.025, 0.05),
                size,
            )
        )
        band.paint(cover * who.level(name, 0.4, 0.6, 0.95), skin * 0.3)
    lean = who.between("scar lean", -1.0, 1.0)
    along = band.v - who.between("scar y", -0.5, 0.6)
    across = band.u - who.between("scar x", -0.4, 0.4) - lean * along
    scar = torch.minimum(0.018 - across.abs(), who.between("scar length", 0.08, 0.16) - along.abs())
    light = torch.tensor((0.9, 0.62, 0.6), device=face.x.device)[:, None, None]
    band.paint(band.inside(scar) * who.level("scar", 0.15, 0.5, 0.9), light)


def paint_nose(face: Face) -> None:
    """Paint the nose by its shadows and its light, with the folds beside it."""
    who, now = face.who, face.now
    band = face.band(-0.6, 0.8)
    skin = skin_colour(who)
    # The nose stands out from the face, so a turned head moves it further.
    x = band.u - 0.05 * now.between("yaw", -1.0, 1.0)
    y = band.v - 0.03 * now.between("pitch", -1.0, 1.0)
    tip = nose_tip(who)
    width = who.between("nose width", 0.07, 0.16)
    bridge = who.between("nose bridge", 0.03, 0.07)
    down = ((y + 0.1) / (tip + 0.1)).clamp(0.0, 1.0)
    side = bridge + (width - bridge) * down.square() * down
    within = fade((y - tip * 0.5).square(), 0.1 + tip * 0.6)
    flank = fade((x.abs() - side).square(), 0.05) * within
    under = fade((y - tip - 0.02).square(), 0.06) * fade(x.square(), width * 1.3)
    depth = who.between("nose depth", 0.25, 0.6)
    band.paint(torch.maximum(flank * 0.6, under) * depth, skin * 0.45)
    ridge = fade(x.square(), bridge * 1.2) * within
    band.paint(ridge * who.between("nose light", 0.1, 0.5), (skin * 1.2 + 0.08))
    size = who.between("nostril size", 0.02, 0.04)
    nostril = oval(x.abs() - width * 0.5, y - tip, size * 1.3, size)
    band.paint(band.inside(nostril) * 0.8, skin * 0.2)
    fold = band.u.abs() - width - 0.07 - 0.45 * (band.v - tip + 0.05)
    length = fade((band.v - tip - 0.1).square(), 0.17)
    folds = fade(fold.square(), 0.035) * length
    strength = who.between("folds", -0.2, 0.5).clamp(min=0.0) + 0.15 * smile(now).clamp(min=0.0)
    band.paint(folds * strength, skin * 0.5)


def nose_tip(who: Dice) -> Tensor:
    """Return the height of the tip of the nose, (B, 1, 1)."""
    return who.between("nose length", 0.14, 0.32)


def smile(now: Dice) -> Tensor:
    """Return how much the corners of the mouth are raised, from -1 to 1, (B, 1, 1)."""
    return now.between("smile", -0.7, 1.0)


def mouth_height(who: Dice) -> Tensor:
    """Return the height of the mouth, (B, 1, 1)."""
    return nose_tip(who) + who.between("upper lip", 0.15, 0.26)


def paint_mouth(face: Face) -> None:
    """Paint lips, and what an open mouth shows."""
    who, now = face.who, face.now
    band = face.band(-0.1, 0.98)
    width = who.between("mouth width", 0.13, 0.26) * (1.0 + 0.14 * smile(now))
    bend = who.between("mouth bend", -0.06, 0.06) + 0.07 * smile(now)
    x = band.u
    across = (x / width).square()
    y = band.v - mouth_height(who) - bend * (0.5 - across)
    opening = now.level("mouth open", 0.4, 0.02, 0.08)
    upper, lower = who.between("lip above", 0.02, 0.06), who.between("lip below", 0.03, 0.085)
    bow = 1.0 - who.between("lip bow", 0.0, 0.6) * fade(x.square(), 0.06)
    lips = lens(x, y, width, (upper + opening) * bow, lower + opening)
    colour = (
        who.colour("lips", 0.05, stops=LIPS) * 0.65
        + skin_colour(who) * who.between("lip skin", 0.1, 0.45)[:, None]
    )
    band.paint(band.inside(lips), colour)
    gap = lens(x, y, width * 0.92, opening + 0.012, opening + 0.012)
    band.paint(band.inside(gap), colour * 0.3)
    teeth = lens(x, y + opening * 0.3, width * 0.75, opening * 0.7, opening * 0.7)
    shown = now.chance("teeth", 0.7) * (opening > 0.035)
    band.paint(band.inside(teeth) * shown, torch.full_like(colour, 0.92))
