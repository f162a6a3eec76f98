"""A contact sheet: some images of every class of a job's data, under the class's label and name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gauntlet.jobs.reports.grid import spread
from gauntlet.pipeline.data.decoding import Undecodable
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.data.known_classes import title
from gauntlet.pipeline.data.stores import ImageStore

SIDE = 96
"""Longer side of an image on the sheet, in pixels."""
WIDTH = 1500
"""Width that a sheet may have before narrow rows stop to stand side by side."""
_MARGIN, _CAPTION, _HEADING = 6, 14, 190
_BACK, _INK, _FAINT = "white", "black", "#777777"


@dataclass(frozen=True)
class Row:
    """A row of the sheet.

    Attributes:
        heading: what its images share, in lines.
        positions: of the images in the store.
        captions: of each.
    """

    heading: tuple[str, ...]
    positions: list[int]
    captions: list[str]


def sheet_rows(examples: Examples, rows: int, columns: int) -> tuple[list[Row], str]:
    """Return what a sheet shows, and that in words.

    Args:
        examples: the examples.
        rows: most rows.
        columns: most images in a row.
    """
    if examples.listing.labels is None:
        return _of_pairs(examples, rows, columns)
    return _of_classes(examples, rows, columns)


def draw(rows: Sequence[Row], store: ImageStore) -> tuple[Image.Image, list[str]]:
    """Return the sheet, and the images that could not be decoded, each with the reason.

    Rows with few images stand side by side, read downwards.
    """
    longest = max(len(row.positions) for row in rows)
    width = _HEADING + longest * (SIDE + _MARGIN) + _MARGIN
    height = SIDE + _CAPTION + _MARGIN
    beside = max(1, min(WIDTH // width, len(rows)))
    down = -(-len(rows) // beside)
    sheet = Image.new("RGB", (beside * width, down * height + _MARGIN), _BACK)
    pen = ImageDraw.Draw(sheet)
    broken: list[str] = []
    for number, row in enumerate(rows):
        left, top = number // down * width + _MARGIN, number % down * height + _MARGIN
        for line, text in enumerate(row.heading):
            ink = _FAINT if line == len(row.heading) - 1 else _INK
            _write(pen, (left, top + 17 * line), text, _HEADING - 2 * _MARGIN, 13, ink)
        for place, position in enumerate(row.positions):
            corner = (left + _HEADING + place * (SIDE + _MARGIN), top)
            try:
                image = _thumbnail(store.read(position))
            except Undecodable as error:
                broken.append(f"{store.names[position]}: {error}")
                pen.rectangle((*corner, corner[0] + SIDE - 1, top + SIDE - 1), fill="#dddddd")
                _write(pen, (corner[0] + 4, top + 40), "not decoded", SIDE - 8, 11, _INK)
            else:
                sheet.paste(image, corner)
            under = (corner[0], top + SIDE)
            _write(pen, under, row.captions[place], SIDE, 9, _FAINT)
    return sheet, broken


def _of_classes(examples: Examples, rows: int, columns: int) -> tuple[list[Row], str]:
    listing = examples.listing
    assert listing.labels is not None, "classes have labels"
    members: dict[int, list[int]] = defaultdict(list)
    for place, label in enumerate(listing.labels.tolist()):
        members[label].append(place)
    labels = spread(sorted(members), rows) if rows > 1 else sorted(members)[:1]
    made = []
    for label in labels:
        places = members[label][:columns]
        name = listing.class_names[label] if label < len(listing.class_names) else ""
        many = "1 example" if len(members[label]) == 1 else f"{len(members[label]):,} examples"
        heading = (str(label), title(name), many) if name else (str(label), many)
        captions = [_caption(listing.ids[place]) for place in places]
        if examples.wanted is not None:
            captions = [
                f"wanted {examples.wanted[place]}, {text}"
                for place, text in zip(places, captions, strict=True)
            ]
        made.append(Row(heading, [int(listing.first[place]) for place in places], captions))
    shown = f"{len(made):,} of {len(members):,} classes"
    if len(made) < len(members):
        shown += " (spread evenly over the labels; `--rows` for more)"
    return made, f"{shown}, at most {columns} of the {len(examples):,} examples each"


def _of_pairs(examples: Examples, rows: int, columns: int) -> tuple[list[Row], str]:
    pairs, names = examples.listing.pairs, examples.listing.store.names
    assert pairs is not None, "what has no labels has pairs"
    made = []
    folds = np.unique(pairs.fold).tolist()
    for same, kind in ((True, "one person"), (False, "different people")):
        for fold in folds[: max(1, rows // 2)]:
            of = np.flatnonzero((pairs.same == same) & (pairs.fold == fold))
            chosen = of[: max(1, columns // 2)].tolist()
            if not chosen:
                continue
            ends = [int(end[place]) for place in chosen for end in (pairs.first, pairs.second)]
            heading = (kind, f"fold {fold + 1} of {len(folds)}", f"{len(of):,} pairs")
            made.append(Row(heading, ends, [_caption(names[end]) for end in ends]))
    return made, (
        f"the first pairs of each kind and fold, {len(made)} rows, two images a pair, of the "
        f"{len(pairs.same):,} pairs that thresholds are from"
    )


def _caption(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _thumbnail(pixels: np.ndarray) -> Image.Image:
    """Return an image of at most SIDE x SIDE; small ones grow by whole pixels."""
    image = Image.fromarray(pixels)
    longest = max(image.size)
    if longest <= SIDE:
        times = SIDE // longest
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _write(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, width: int, size: int, ink: str
) -> None:
    """Write a line, cut to a width in pixels."""
    font = _font(size)
    if font.getlength(text) > width:
        while text and font.getlength(f"{text}…") > width:
            text = text[:-1]
        text += "…"
    pen.text(corner, text, ink, font=font)
