"""The `gauntlet` command: its verbs, their options, their help."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from gauntlet.jobs.cli.allowed import AllowImports
from gauntlet.jobs.cli.data import data
from gauntlet.jobs.cli.heads import heads
from gauntlet.jobs.cli.status import IN_HELP
from gauntlet.jobs.cli.surrogates import surrogates
from gauntlet.jobs.cli.zoo import zoo

# What the commands do is imported by each when it is called: torch alone takes seconds, and
# `--help` should not wait for it.

app = typer.Typer(
    name="gauntlet",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=IN_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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

app.add_typer(zoo)
app.add_typer(heads)
app.add_typer(data)
app.add_typer(surrogates)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gauntlet {metadata.version('gauntlet')}")
        raise typer.Exit


@app.callback()
def gauntlet(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print it.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Transferable adversarial attacks at scale.

    A job file names surrogates, targets, data and attacks. A run attacks every
    example with every attack and records how each target answers.

    \b
    gauntlet check quickstart    what a job would do, or what is wrong with it
    gauntlet run quickstart      do it (half a minute; `demo`: a few)
    gauntlet report runs/NAME    how often each attack fooled each target
    gauntlet schema              every field of a job file
    """


@app.command()
def run(
    job: JobFile,
    out: Out = None,
    changes: Changes = None,
    address: Address = None,
    placement: Placement = None,
    yes: Yes = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
) -> None:
    """Run a job: attack, evaluate, store, and print the summary.

    Every model is first asked about 64 clean examples. One that is hardly right
    about any gets a warning with what would explain it, and on a terminal a
    question.

    \b
    gauntlet run quickstart
    gauntlet run cifar10 --set root=data --set select.limit=50
    gauntlet run job.yaml --placement packed --out runs/first
    gauntlet run job.yaml --address auto --set output=s3://bucket/runs

    Where nothing else is asked for, Ray is started for this run alone, whatever
    else runs on the machine; --address auto joins the cluster that is around.
    """
    from gauntlet.jobs.cli import commands

    allowed = allow_imports or []
    commands.end(commands.run, job, out, changes or [], address, placement, yes, strict, allowed)


@app.command()
def resume(
    folder: RunFolder,
    address: Address = None,
    yes: Yes = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
) -> None:
    """Go on with an interrupted run, or try its failed units again.

    What is finished is skipped, and every row is there exactly once in the end.
    The job file is not read again: the run's folder holds the plan. Where its
    import: models may run code from is not in it: start in the same folder, or
    say --allow-imports again.

    \b
    gauntlet resume runs/quickstart-20260131-120000
    """
    from gauntlet.jobs.cli import commands

    commands.end(commands.resume, folder, address, yes, strict, allow_imports or [])


@app.command()
def check(
    job: JobFile,
    out: Out = None,
    changes: Changes = None,
    address: Address = None,
    placement: Placement = None,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Build the models, and ask them about 64 clean examples."),
    ] = False,
    strict: Strict = False,
    allow_imports: AllowImports = None,
) -> None:
    """Say what a job would do, without running a model; or all that is wrong with it.

    Prints every attack with its budget, step size and normalisation, every model
    with its preprocessing and the file of yours that was run for it (an import:
    model), what was read of the data (examples, labels, classes, sizes, files left
    out; `gauntlet data look` draws them), and where the work would be done. Takes
    the options of `run` and refuses what it would refuse; what only running can
    tell is named. With --probe also how many clean examples each
    model is right about, and what would explain it if those are few: labels from
    1, the channel order, 0..255, normalisation.

    \b
    gauntlet check quickstart
    gauntlet check faces --set root=data
    gauntlet check job.yaml --placement packed --out runs/first
    gauntlet check faces --probe
    """
    from gauntlet.jobs.cli import commands

    allowed = allow_imports or []
    commands.end(
        commands.check, job, changes or [], out, address, placement, probe, strict, allowed
    )


@app.command()
def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A part, or an attack's usual name.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/methods.md.")
    ] = False,
) -> None:
    """List the parts that attacks are put together from, or explain one.

    \b
    gauntlet methods            all parts, by their place in the loop
    gauntlet methods rgea       one part: what it computes, its options and defaults
    gauntlet methods PGD-l2     how a job writes an attack that has a name
    gauntlet methods --markdown > docs/methods.md
    """
    from gauntlet.jobs.cli import commands

    commands.end(commands.methods, name, markdown)


models = typer.Typer()
app.add_typer(models, name="models")


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List where models come from, and the architectures of checkpoint files.

    \b
    gauntlet models
    gauntlet models inspect torchvision/resnet18 --surgery sgm --layers
    """
    if context.invoked_subcommand is None:
        from gauntlet.jobs.cli import commands

        commands.end(commands.models)


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
    from gauntlet.jobs.cli import commands

    allowed = allow_imports or []
    commands.end(commands.inspect_model, model, surgery, layers, size, architecture, key, allowed)


@app.command()
def report(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Folder of a run; several: one job, other seeds."),
    ],
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rates as CSV, too.")
    ] = None,
    targets: Annotated[
        bool, typer.Option("--targets", help="Show every target, not only groups.")
    ] = False,
    steps: Annotated[
        bool,
        typer.Option("--steps", help="Show success against the step; the CSV has every step."),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(metavar="ATTACK", help="Compare every attack with this one, paired."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the figures as SVG and PNG files.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write tables and figures as one page.")
    ] = None,
) -> None:
    """Print how often each attack fooled each group of targets.

    Also of a run that is still going on: of what is finished. Of several runs of
    one job with other seeds: mean and standard deviation; --steps, --against,
    --plots and --html are for one run only.

    \b
    gauntlet report runs/quickstart-20260131-120000 --targets
    gauntlet report runs/quickstart-20260131-120000 --csv rates.csv
    gauntlet report runs/quickstart-20260131-120000 --against i/ens/linf-8
    gauntlet report runs/quickstart-20260131-120000 --steps --html report.html
    gauntlet report runs/seed-0 runs/seed-1 runs/seed-2
    """
    from gauntlet.jobs.cli import commands

    commands.end(
        commands.report,
        folders,
        csv=csv,
        targets=targets,
        steps=steps,
        against=against,
        plots=plots,
        html=html,
    )


@app.command()
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
    from gauntlet.jobs.cli import commands

    commands.end(commands.pictures, folder, out, attack or [], examples)


@app.command()
def schema() -> None:
    """Print the reference page of the job file, as Markdown.

    \b
    gauntlet schema > JOBS.md
    """
    from gauntlet.jobs.cli import commands

    commands.end(commands.schema)


def _say_how_commands_end(group: typer.Typer) -> None:
    """Let the help of every command end with the exit statuses."""
    for command in group.registered_commands:
        command.epilog = IN_HELP
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        _say_how_commands_end(inner.typer_instance)


_say_how_commands_end(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
