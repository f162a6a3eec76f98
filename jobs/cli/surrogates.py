"""`gauntlet surrogates`: networks and settings that are trained or searched before an attack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.options import AllowImports
from gauntlet.jobs.cli.status import end

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
Epochs = Annotated[int | None, typer.Option(help="Passes over the images. Default 10.")]
Batch = Annotated[int | None, typer.Option(help="Most images in an update. Default 64.")]
Optimiser = Annotated[str | None, typer.Option(help="sgd (the default) or adamw.")]
WeightDecay = Annotated[str | None, typer.Option(help="Decay of the weights. Default 5e-4.")]
Clip = Annotated[str | None, typer.Option(help="Greatest norm of an update's gradient. Default 1.")]
Flips = Annotated[
    bool | None, typer.Option("--flips/--no-flips", help="Mirror half of the images. Default: yes.")
]
Validation = Annotated[
    float | None, typer.Option(help="Share of the images only judged by. Default 0.2.")
]
Seed = Annotated[int | None, typer.Option(help="Keys every draw. Default 0.")]


@surrogates.callback()
def group() -> None:
    """Train surrogates on images that a job does not attack.

    Model, data and root come from the job. Of the job's source, the images that
    `data.ids` and `data.limit` leave are the attacked ones; all others are used.
    """


@surrogates.command()
def harden(
    job: JobFile,
    surrogate: Surrogate,
    out: Out,
    changes: Changes = None,
    images: Images = None,
    limit: Limit = 5000,
    norm: Annotated[str | None, typer.Option(help="Ball: linf (the default) or l2.")] = None,
    epsilon: Annotated[
        str | None, typer.Option(help="Training budget in [0, 1] units. Default 1/255.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the inner maximisation. Default 3.")
    ] = None,
    step_size: Annotated[
        str | None, typer.Option(help="Length of a step. Default 2.5 epsilon / steps.")
    ] = None,
    batch_norm: Annotated[
        str | None, typer.Option(help="Statistics: frozen (the default) or updated.")
    ] = None,
    judge_steps: Annotated[
        int | None,
        typer.Option(help="Steps of the PGD that robustness is measured by. Default 20."),
    ] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    optimiser: Optimiser = None,
    rate: Annotated[str | None, typer.Option(help="Learning rate. Default 0.01.")] = None,
    weight_decay: WeightDecay = None,
    clip: Clip = None,
    flips: Flips = None,
    validation: Validation = None,
    seed: Seed = None,
    allow_imports: AllowImports = None,
) -> None:
    """Fine-tune a surrogate adversarially, and write it with its provenance.

    PGD adversarial training (Madry 2018) with a small budget: slightly robust
    surrogates transfer better (Springer 2021). Clean and robust accuracy on held-out
    images are printed and written. How a job uses the file is printed, too.

    \b
    gauntlet surrogates harden job.yaml --surrogate resnet20 --out hard.safetensors
    gauntlet surrogates harden job.yaml --surrogate r --out r.safetensors --epsilon 2/255
    gauntlet surrogates harden job.yaml --surrogate r --out r.safetensors --images train.yaml

    Not good enough is robust accuracy at the training budget that does not exceed
    the original's.
    """
    options = dict(locals())
    from gauntlet.jobs.cli import train_surrogates as surrogates_commands

    end(surrogates_commands.harden_surrogate, *surrogates_commands.asked(options))


@surrogates.command()
def align(
    job: JobFile,
    surrogate: Surrogate,
    out: Out,
    changes: Changes = None,
    images: Images = None,
    limit: Limit = 5000,
    weight: Annotated[
        str | None,
        typer.Option(help="Of the criterion, relative to its mean size before. Default 0.3."),
    ] = None,
    beta: Annotated[
        str | None, typer.Option(help="Sharpness of the Softplus meanwhile. Default 20.")
    ] = None,
    probes: Annotated[
        int | None, typer.Option(help="Random vectors in each estimate. Default 1.")
    ] = None,
    drop: Annotated[
        float | None, typer.Option(help="Clean accuracy that may be lost. Default 0.05.")
    ] = None,
    epsilon: Annotated[
        str | None, typer.Option(help="Budget that robust accuracy is reported at. Default 1/255.")
    ] = None,
    judge_probes: Annotated[
        int | None, typer.Option(help="Vectors that the criterion is reported with. Default 8.")
    ] = None,
    judge_steps: Annotated[
        int | None,
        typer.Option(help="Steps of the PGD that robustness is measured by. Default 20."),
    ] = None,
    epochs: Epochs = None,
    batch: Batch = None,
    optimiser: Annotated[str | None, typer.Option(help="adamw (the default) or sgd.")] = None,
    rate: Annotated[str | None, typer.Option(help="Learning rate. Default 3e-4.")] = None,
    weight_decay: WeightDecay = None,
    clip: Clip = None,
    flips: Flips = None,
    validation: Validation = None,
    seed: Seed = None,
    allow_imports: AllowImports = None,
) -> None:
    """Fine-tune a surrogate so that its loss gradient follows the data, and write it.

    Climbs IA's criterion (Zhu 2022) beside the cross-entropy, on the form of the
    network with Softplus in place of ReLU. The weights go into the original network;
    the attack part ia smooths it.

    \b
    gauntlet surrogates align job.yaml --surrogate resnet20 --out aligned.safetensors
    gauntlet surrogates align job.yaml --surrogate r --out r.safetensors --weight 1

    Not good enough is a criterion on held-out images that did not rise, or a loss of
    more clean accuracy than --drop.
    """
    options = dict(locals())
    from gauntlet.jobs.cli import train_surrogates as surrogates_commands

    end(surrogates_commands.align_surrogate, *surrogates_commands.asked(options))


@surrogates.command("ia-search")
def ia_search(
    job: JobFile,
    surrogate: Surrogate,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The JSON file to write.")],
    changes: Changes = None,
    images: Images = None,
    limit: Limit = 256,
    trials: Annotated[int | None, typer.Option(help="Settings to try. Default 60.")] = None,
    probes: Annotated[
        int | None, typer.Option(help="Random vectors in each estimate. Default 4.")
    ] = None,
    drop: Annotated[
        float | None, typer.Option(help="Clean accuracy that may be lost. Default 0.05.")
    ] = None,
    least_beta: Annotated[
        float | None, typer.Option(help="Smallest sharpness to try. Default 5.")
    ] = None,
    most_beta: Annotated[
        float | None, typer.Option(help="Greatest sharpness to try. Default 100.")
    ] = None,
    least_lambda: Annotated[
        float | None, typer.Option(help="Smallest branch factor to try. Default 0.05.")
    ] = None,
    rows: Annotated[int | None, typer.Option(help="Images in one pass. Default 32.")] = None,
    seed: Seed = None,
    allow_imports: AllowImports = None,
) -> None:
    """Search the sharpness and the branch factors of the attack part ia for a surrogate.

    The weights stay; an attack reads the file by `options: {ia: {search: FILE}}`.

    \b
    gauntlet surrogates ia-search job.yaml --surrogate resnet20 --out ia.json
    gauntlet surrogates ia-search job.yaml --surrogate r --out r.json --least-lambda 0.6

    Settings of which none keeps the accuracy are refused.
    """
    options = dict(locals())
    from gauntlet.jobs.cli import train_surrogates as surrogates_commands

    end(surrogates_commands.search_surrogate, *surrogates_commands.asked(options))
