"""`gauntlet plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from gauntlet.jobs.cli.exit_status import end
from gauntlet.jobs.cli.options import AllowImports, Changes, JobFile, Parts, Placement


def plan(
    job: JobFile,
    changes: Changes = None,
    placement: Placement = None,
    cpus: Annotated[
        int | None,
        typer.Option(min=1, max=65_536, help="Cores of a machine that is not this one."),
    ] = None,
    gpus: Annotated[int | None, typer.Option(min=0, max=4_096, help="Its GPUs.")] = None,
    gpu_memory: Annotated[
        float | None, typer.Option(min=0, metavar="GIB", help="Memory of each of its GPUs.")
    ] = None,
    examples: Annotated[
        int | None, typer.Option(min=1, help="Attack so many, whatever the data hold.")
    ] = None,
    ms: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=MILLISECONDS",
            help="What a forward and backward pass of one batch takes this model, where it will "
            "run. Repeatable. Default: built, and measured, here.",
        ),
    ] = None,
    allow_imports: AllowImports = None,
    parts: Parts = None,
) -> None:
    """Say what a run would cost: what goes where, files and bytes, time, and what limits it.

    Starts nothing. Each model's milliseconds are measured here, one model after
    the other, and kept in the cache; with --ms for it a model is not built, and
    need not be here. A target goes forward only: half of its --ms. Time is that
    of the whole run, from the start of its processes to compaction; measured
    interactions come on top. A run of the same job on this machine keeps it in
    its manifest, beside what it took.

    \b
    gauntlet plan quickstart
    gauntlet plan job.yaml --gpus 8 --gpu-memory 80 --cpus 64 --ms resnet50=20 --ms vit=35
    gauntlet plan job.yaml --examples 50000 --placement pinned --set resources.batch=128
    """
    from gauntlet.jobs.cli.plan_job import plan_job

    machine = (cpus, gpus, gpu_memory)
    end(
        plan_job,
        job,
        changes or [],
        placement,
        machine,
        examples,
        ms or [],
        [*(allow_imports or []), *(parts or [])],
    )
