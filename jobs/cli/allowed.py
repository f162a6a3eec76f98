"""The option `--allow-imports` of every command that builds a job's models."""

from __future__ import annotations

from typing import Annotated

import typer

AllowImports = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-imports",
        metavar="FOLDER|PACKAGE",
        help="Let the job's import: models run code from this folder (./nets) or installed "
        "package, too. Repeatable. By default: beside the job file, in the working directory.",
    ),
]
