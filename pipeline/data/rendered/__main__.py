"""A contact sheet: ``python -m gauntlet.pipeline.data.rendered OUT.png``, a row for each person."""

from __future__ import annotations

import argparse

import torch
from PIL import Image

from gauntlet.pipeline.data.rendered.render import TEST_IDENTITIES, render


def main() -> None:
    """Save the sheet that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m gauntlet.pipeline.data.rendered", description=__doc__
    )
    parser.add_argument("out", help="the picture to write, .png")
    parser.add_argument("--identities", type=int, default=8, help="rows")
    parser.add_argument("--shots", type=int, default=8, help="columns")
    parser.add_argument("--size", type=int, default=64, help="side of each picture in pixels")
    parser.add_argument("--first", type=int, default=TEST_IDENTITIES, help="number of row 1")
    parser.add_argument("--seed", type=int, default=0, help="seed of the population")
    parser.add_argument("--colours", type=int, help="save with a palette of so many colours")
    given = parser.parse_args()
    people = torch.arange(given.first, given.first + given.identities)
    pictures = render(
        people.repeat_interleave(given.shots),
        torch.arange(given.shots).repeat(given.identities),
        size=given.size,
        seed=given.seed,
    )
    rows = pictures.reshape(given.identities, given.shots, 3, given.size, given.size)
    sheet = rows.permute(0, 3, 1, 4, 2).reshape(
        given.identities * given.size, given.shots * given.size, 3
    )
    image = Image.fromarray(sheet.numpy())
    if given.colours is not None:
        image = image.quantize(given.colours)
    image.save(given.out, optimize=True)


if __name__ == "__main__":
    main()
