"""`gauntlet data`: what a job's data are, for the eye; photographs made into what networks take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import AllowImports

data = typer.Typer(
    name="data",
    no_args_is_help=True,
    help="Look at the data of a job before they are attacked, or align faces.",
)


class AlignedSize(StrEnum):
    """Heights and widths of aligned faces, by whose networks made them usual."""

    ARCFACE = "112x112"
    SPHEREFACE = "112x96"
    FACENET = "160x160"


@data.callback()
def group() -> None:
    """Look at the data of a job before they are attacked, or align faces."""


@data.command()
def look(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A job file, or the name of a bundled job.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The picture to write: .png.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the job. Repeatable."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")] = 40,
    columns: Annotated[int, typer.Option(min=2, max=50, help="Most images in a row.")] = 8,
    faces: Annotated[
        bool,
        typer.Option("--faces", help="Look for faces in 64 images: are they there, and aligned?"),
    ] = False,
    allow_imports: AllowImports = None,
) -> None:
    """Draw a contact sheet of a job's data, and say what was read.

    One row a class, with its label and name: images as the attacks get them,
    resized and cropped. Where there are more classes than rows, they are spread
    evenly over the labels, the first and the last among them. Of face pairs, one
    row a kind and fold.

    \b
    gauntlet data look job.yaml --out sheet.png
    gauntlet data look job.yaml --out sheet.png --rows 100 --columns 4
    """
    from gauntlet.jobs.cli.look_at_data import look as draw

    end(draw, job, changes or [], out, rows, columns, faces, allow_imports or [])


@data.command()
def align(
    photographs: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of photographs, with folders in it.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the aligned copies, apart from DIR.")
    ],
    size: Annotated[
        AlignedSize,
        typer.Option(help="Height x width.", case_sensitive=False),
    ] = AlignedSize.ARCFACE,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes, each with an image at a time (about 0.5 GB). Default: the CPUs."
        ),
    ] = None,
) -> None:
    """Align the faces in photographs as face networks want them.

    MTCNN finds eyes, nose and mouth; turned, scaled and shifted, they lie where
    the published template of five points has them (ArcFace's for 112 x 112, the
    same in proportion for 160 x 160, SphereFace's for 112 x 96). Of several faces
    the largest counts, less twice its squared distance from the middle. Copies
    are PNG files at the same places below OUT; what lies outside a photograph is
    black. A camera's EXIF rotation is applied.

    Where no face is found, or an image cannot be read, OUT/not-aligned.csv says
    so, and the exit status is 1. Copies that are there are not made again: called
    once more, the command goes on where it was stopped.

    \b
    gauntlet data align lfw lfw-112
    gauntlet data align people people-96 --size 112x96 --workers 4
    """
    from gauntlet.jobs.cli.align_faces import align_faces

    end(align_faces, photographs, out, size.value, workers)
