"""`gauntlet models`: where models come from, and what is in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import Status, end
from gauntlet.jobs.cli.options import AllowImports, Changes, JobFile
from gauntlet.jobs.reports.terminal import terminal

models = typer.Typer(name="models")


@models.callback(invoke_without_command=True)
def list_models(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="List the networks of timm and torchvision, too.")
    ] = False,
) -> None:
    """List where models come from, and the architectures of checkpoint files.

    \b
    gauntlet models
    gauntlet models --all
    gauntlet models list efficientnet
    gauntlet models inspect torchvision/resnet18 --surgery sgm --layers
    """
    if context.invoked_subcommand is None:
        end(_print, every)


@models.command("list")
def search(
    word: Annotated[str, typer.Argument(metavar="WORD", help="Part of a name, in any case.")],
) -> None:
    """List the models and architectures that have a word in their name, a line each.

    Those of installed libraries are among them.

    \b
    gauntlet models list efficientnet
    """
    end(_search, word)


@models.command()
def inspect(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A source: torchvision/resnet18.")],
    surgery: Annotated[str, typer.Option(help="Surgeries, by commas: sgm,linbp.")] = "",
    layers: Annotated[bool, typer.Option("--layers", help="List the layers.")] = False,
    size: Annotated[int | None, typer.Option("--input", min=1, help="Side of the input.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Of a file: source.")] = None,
    key: Annotated[str | None, typer.Option(help="Which of several in a file: source.")] = None,
    allow_imports: AllowImports = None,
) -> None:
    """Show a model's residual branches, what surgeries would touch, and its layers.

    Nothing is attacked, and no weights are downloaded.

    \b
    gauntlet models inspect torchvision/resnet18 --surgery sgm
    gauntlet models inspect file:net.safetensors --architecture cifar-resnet-20 --layers
    """
    allowed = allow_imports or []
    end(_inspect, model, surgery, layers, size, architecture, key, allowed)


@models.command()
def verify(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model of the job, or a source: file:net.pt.")
    ],
    data: Annotated[
        str, typer.Option(metavar="JOB", help="A job whose pairs of faces are used, and its root.")
    ],
    changes: Changes = None,
    architecture: Annotated[str | None, typer.Option(help="Of a file: source.")] = None,
    key: Annotated[str | None, typer.Option(help="Which of several in a file: source.")] = None,
    pairs: Annotated[int, typer.Option(min=40, help="Most pairs, half of each kind.")] = 1200,
    allow_imports: AllowImports = None,
) -> None:
    """Say whether a face model is what it seems, by what it says of pairs.

    The weights are loaded strictly and run: accuracy and threshold by the LFW
    protocol, thresholds at false-accept rates. Then other channel orders, scales
    and sizes are tried on the same pairs, and the other published networks that a
    file fits. Nothing is attacked or written.

    \b
    gauntlet models verify mobilefacenet --data faces
    gauntlet models verify file:backbone.pth --data faces
    gauntlet models verify file:backbone.pth --architecture magface-iresnet50 --data faces

    Not good enough is a model that another reading of the images suits better
    beyond doubt, or that hardly tells people apart.
    """
    from gauntlet.jobs.cli.verify_model import Wanted, verify_model

    allowed = allow_imports or []
    end(verify_model, Wanted(model, data, changes or [], architecture, key, pairs, allowed))


@models.command()
def fetch(job: JobFile, changes: Changes = None) -> None:
    """Download the weights that a job needs, where a file has an address of its own.

    What is missing in the job's `root`, torch's and Hugging Face's caches is
    fetched, checked by the SHA-256 that the publisher states, if any, and put
    in its place at once. A download that was cut short goes on where it ended. A
    web page is refused. What is to be fetched by hand is listed. `gauntlet check`
    shows the list first.

    \b
    gauntlet models fetch paper/ir-table3
    gauntlet models fetch job.yaml --set root=data
    """
    from gauntlet.jobs.cli.fetch_models import fetch_models

    end(fetch_models, job, changes or [])


def _print(every: bool) -> int:
    from gauntlet.jobs.reference.catalogue import print_models
    from gauntlet.jobs.reference.index import shipped

    if every:
        from gauntlet.jobs.reference.source_rows import source_rows

        print_models(source_rows(), shipped().layouts, terminal())
    else:
        print_models(shipped().sources, shipped().layouts, terminal())
    return Status.DONE


def _search(word: str) -> int:
    from gauntlet.jobs.reference.catalogue import print_models_with
    from gauntlet.jobs.reference.source_rows import source_rows

    print_models_with(word, source_rows(), terminal(soft_wrap=True))
    return Status.DONE


def _inspect(
    model: str,
    surgery: str,
    layers: bool,
    size: int | None,
    architecture: str | None,
    key: str | None,
    allowed: Sequence[str],
) -> int:
    from gauntlet.jobs.reference.network import inspect
    from gauntlet.pipeline.models.sources.permission import granted

    inspect(
        model,
        terminal(),
        surgery=surgery,
        list_layers=layers,
        size=size,
        architecture=architecture,
        key=key,
        permission=granted(allowed),
    )
    return Status.DONE
