"""A run's figures as files."""

from __future__ import annotations

from pathlib import Path

from gauntlet.jobs.reports.drawings import figures_of, svg
from gauntlet.jobs.reports.frames import Figures


def write_plots(figures: Figures, folder: Path) -> list[Path]:
    """Write a run's figures as SVG and PNG; return the files.

    Raises:
        ValueError: when there is nothing to draw yet.
        OSError: when a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures_of(figures):
        stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
        picture = folder / f"{stem}.png"
        figure.savefig(picture, dpi=150)
        drawing = folder / f"{stem}.svg"
        drawing.write_text(svg(figure))
        written += [drawing, picture]
    if not written:
        raise ValueError(f"{figures.run}: no verdicts yet, nothing to draw")
    return written
