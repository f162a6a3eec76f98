"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer


def _python_files(values: list[str] | None) -> list[str] | None:
    for value in values or ():
        if not value.endswith(".py"):
            raise typer.BadParameter(f"expected a Python file, such as mine.py, got {value!r}")
    return values


JobFile = Annotated[
    str, typer.Argument(metavar="JOB", help="A job file, or the name of a bundled job.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Change the job: [b]resources.batch=16[/b], [b]attacks.0.steps=5[/b] "
        "([b]attacks.steps=5[/b] where attacks is one mapping). Repeatable.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="A Ray cluster: auto (RAY_ADDRESS, or one on this machine), or HOST:PORT. "
        "Default: a session of its own."
    ),
]
Dashboard = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        help="Of the cluster's dashboard: http://HOST:8265.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Run folder. Default: <output>/<name>-<date>-<time>."),
]
Placement = Annotated[
    str | None,
    typer.Option(help="Where the work is done: auto, in-process, packed or pinned."),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Go on whatever the models say of clean examples.")
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="End, with status 2, if models are wrong about clean examples."),
]
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")]
AllowImports = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-imports",
        metavar="FOLDER|PACKAGE",
        help="Let the job's import: models run code from this folder (./nets) or installed "
        "package, too. Repeatable. By default: beside the job file, in the working directory.",
    ),
]
Parts = Annotated[
    list[str] | None,
    typer.Option(
        "--parts",
        metavar="FILE.py",
        callback=_python_files,
        help="A file with parts of your own, which is run. Repeatable; see docs/own-parts.md.",
    ),
]
