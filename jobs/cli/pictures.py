"""`gauntlet pictures`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import Status, end, say
from gauntlet.jobs.cli.options import RunFolder
from gauntlet.pipeline.problems import BadInput, Problem


def pictures(
    folder: RunFolder,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The file to draw: .png, .svg or .pdf.")
    ],
    attack: Annotated[
        list[str] | None,
        typer.Option(metavar="ATTACK", help="Label of one. Repeatable; default: the first 8."),
    ] = None,
    examples: Annotated[int, typer.Option(min=1, max=100, help="How many examples.")] = 4,
) -> None:
    """Draw adversarial images of a run beside the clean ones, and what was changed.

    Grey is no change; black and white are the budget of linf attacks, and the
    largest change of the picture for others. The job must keep its images
    (`evaluate: {images: true}`, the default), and its data must still be there.

    \b
    gauntlet pictures runs/demo-20260131-120000 --out look.png
    gauntlet pictures runs/demo-20260131-120000 --out look.png --attack i/ens/linf-8
    """
    end(_draw, folder, out, attack or [], examples)


def _draw(folder: str, out: Path, attacks: Sequence[str], examples: int) -> int:
    from gauntlet.jobs.reports.pictures import write_pictures

    try:
        write_pictures(folder, out, attacks, examples)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(Problem("", str(error))) from None
    except OSError as error:
        raise BadInput(Problem(str(out), error.strerror or str(error))) from None
    say(f"wrote {out}")
    return Status.DONE
