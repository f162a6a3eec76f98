"""`gauntlet surrogates`: networks and settings that are trained or searched before an attack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import AllowImports
from gauntlet.jobs.cli.settings_options import with_settings

surrogates = typer.Typer(
    name="surrogates",
    no_args_is_help=True,
    help="Train surrogates on images that a job does not attack.",
)

JobFile = Annotated[
    str, typer.Argument(metavar="JOB", help="A job file, or the name of a bundled job.")
]
Surrogate = Annotated[str, typer.Option(metavar="NAME", help="Which of the job's surrogates.")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="The safetensors file to write.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change the job. Repeatable."),
]
Images = Annotated[
    str | None,
    typer.Option(metavar="JOB", help="A job whose data to use. Default: the job's own source."),
]
Limit = Annotated[int, typer.Option(min=2, help="Use at most this many images.")]


@surrogates.callback()
def group() -> None:
    """Train surrogates on images that a job does not attack.

    Model, data and root come from the job. Of the job's source, the images that
    `data.ids` and `data.limit` leave are the attacked ones; all others are used.
    """


@surrogates.command(cls=with_settings("HardenSettings"))
def harden(
    context: typer.Context,
    job: JobFile,
    surrogate: Surrogate,
    out: Out,
    changes: Changes = None,
    images: Images = None,
    limit: Limit = 5000,
    allow_imports: AllowImports = None,
) -> None:
    """Fine-tune a surrogate adversarially, and write it with its provenance.

    PGD adversarial training (Madry 2018) with a small budget: slightly robust
    surrogates transfer better (Springer 2021). Clean and robust accuracy on
    held-out images are printed and written. How a job uses the file is printed,
    too.

    \b
    gauntlet surrogates harden job.yaml --surrogate resnet20 --out hard.safetensors
    gauntlet surrogates harden job.yaml --surrogate r --out r.safetensors --epsilon 2/255
    gauntlet surrogates harden job.yaml --surrogate r --out r.safetensors --images train.yaml

    Not good enough is robust accuracy at the training budget that does not exceed
    the original's.
    """
    from gauntlet.jobs.cli import train_surrogates

    asked = train_surrogates.Wanted(
        job, surrogate, out, changes or [], images, limit, allow_imports or []
    )
    end(train_surrogates.harden_surrogate, asked, context.obj)


@surrogates.command(cls=with_settings("AlignSettings"))
def align(
    context: typer.Context,
    job: JobFile,
    surrogate: Surrogate,
    out: Out,
    changes: Changes = None,
    images: Images = None,
    limit: Limit = 5000,
    allow_imports: AllowImports = None,
) -> None:
    """Fine-tune a surrogate so that its loss gradient follows the data, and write it.

    Climbs IA's criterion (Zhu 2022) beside the cross-entropy, on the form of the
    network with Softplus in place of ReLU. The weights go into the original
    network; the attack part ia smooths it.

    \b
    gauntlet surrogates align job.yaml --surrogate resnet20 --out aligned.safetensors
    gauntlet surrogates align job.yaml --surrogate r --out r.safetensors --weight 1

    Not good enough is a criterion on held-out images that did not rise, or a loss
    of more clean accuracy than --drop.
    """
    from gauntlet.jobs.cli import train_surrogates

    asked = train_surrogates.Wanted(
        job, surrogate, out, changes or [], images, limit, allow_imports or []
    )
    end(train_surrogates.align_surrogate, asked, context.obj)


@surrogates.command("ia-search", cls=with_settings("SearchSettings"))
def ia_search(
    context: typer.Context,
    job: JobFile,
    surrogate: Surrogate,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The JSON file to write.")],
    changes: Changes = None,
    images: Images = None,
    limit: Limit = 256,
    allow_imports: AllowImports = None,
) -> None:
    """Search the sharpness and the branch factors of the attack part ia for a surrogate.

    The weights stay; an attack reads the file by `options: {ia: {search: FILE}}`.

    \b
    gauntlet surrogates ia-search job.yaml --surrogate resnet20 --out ia.json
    gauntlet surrogates ia-search job.yaml --surrogate r --out r.json --least-lambda 0.6

    Settings of which none keeps the accuracy are refused.
    """
    from gauntlet.jobs.cli import train_surrogates

    asked = train_surrogates.Wanted(
        job, surrogate, out, changes or [], images, limit, allow_imports or []
    )
    end(train_surrogates.search_surrogate, asked, context.obj)
