"""What a run would cost, as tables: where things go, what is written, how long it takes."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.actors.devices import Devices
from gauntlet.actors.outlook import BatchTimes, Outlook
from gauntlet.jobs.cli.durations import in_words
from gauntlet.jobs.reports.grid import Column, figures, names
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.rehearsal import uncounted

_PLACES = (*names("process"), *figures("count", "GPU", "threads", "GiB"), Column("holds", 24))
_MODELS = (
    *names("model", "as"),
    *figures("ms a batch", "passes a batch", "weights", "a step holds"),
)
_FILES = (*names("table"), *figures("rows", "bytes", "parts", "files in the end"))
_LIMITS = (*names("place"), *figures("count"), Column("mostly", 10), *figures("work", "busy %"))


def print_outlook(
    plan: Plan,
    found: Outlook,
    devices: Devices,
    examples: int,
    pixels: tuple[int, int],
    times: BatchTimes,
    notes: Sequence[str],
    console: Terminal,
) -> None:
    """Print what a run would be.

    Args:
        plan: what would be run.
        found: what it comes to.
        devices: where.
        examples: that are attacked.
        pixels: height and width of the images.
        times: what the time is from.
        notes: what to doubt, in words.
        console: where to.
    """
    batch = plan.resources.batch
    where = f"{devices.cpus} CPUs, {devices.gpus} GPUs"
    if devices.gpus and devices.gpu_memory:
        where += f" of {devices.gpu_memory / 2**30:.0f} GiB"
    console.print(
        f"{plan.name} on {where}: {examples:,} examples of {pixels[0]} x {pixels[1]} px, "
        f"batches of {batch}, {len(plan.attacks)} attacks, {found.units:,} units of work"
    )
    console.print()
    print_table(console, "what goes where", _PLACES, _places(found))
    if (layout := found.layout) is not None:
        console.print(f"{layout.summary} ({layout.reason})")
        if found.gpu_bytes is not None and devices.gpu_memory:
            held, room = (f"{size / 2**30:.1f}" for size in (found.gpu_bytes, devices.gpu_memory))
            console.print(f"memory of the fullest GPU: {held} of {room} GiB")
        console.print()
    print_table(console, "models", _MODELS, _models(plan, times))
    print_table(console, "files", _FILES, _files(found))
    if uncounted(plan.attacks):
        console.print(f"time: more than {in_words(found.seconds)}; bottleneck: not known")
    else:
        print_table(console, "what each is busy with", _LIMITS, _limits(found))
        console.print(_time(found, examples * len(plan.attacks)))
    parts = ", ".join(f"{name} {in_words(seconds)}" for name, seconds in found.stages.items())
    library = f"before it {in_words(times.library)} of CPU time to load the libraries"
    console.print(f"of it: {parts}; {library}")
    for what in found.misfits:
        console.print(f"memory: {what}", style="yellow", soft_wrap=True)
    for note in notes:
        console.print(note, style="dim")


def _time(found: Outlook, images: int) -> str:
    forecast, layout = found.forecast, found.layout
    rate = (
        f", {images / forecast.seconds:,.3g} images a second while attacking"
        if forecast.seconds
        else ""
    )
    limit = forecast.bottleneck
    why = f"{limit.name}, mostly with {limit.mostly}"
    if forecast.in_flight:
        assert layout is not None
        why = f"units in flight: {layout.lanes} keep nothing busy all the time (in_flight)"
    longest = max(found.stages, key=lambda name: found.stages[name])
    most = "" if longest == "attacks" else f"; but most of it is {longest}"
    return f"time: {in_words(found.seconds)}{rate}; bottleneck: {why}{most}"


def _places(found: Outlook) -> list[list[str]]:
    rows = []
    for process in found.processes:
        several = process.role == "targets" and len(process.holds) > 1
        holds = f"{', '.join(process.holds)}{' (in turn)' if several else ''}"
        shown = f"{process.gpus:g}" if process.gpus else "-"
        size = "-" if process.bytes is None else f"{process.bytes / 2**30:.1f}"
        rows.append([process.role, str(process.count), shown, str(process.threads), size, holds])
    return rows


def _models(plan: Plan, times: BatchTimes) -> list[list[str]]:
    rows = []
    for name, made in times.surrogates.items():
        asked = sum(attack.passes.get(name, 0.0) for attack in times.attacks)
        figures = [f"{1000 * made.seconds:.3g}", f"{asked:,.0f}"]
        rows.append([name, "surrogate", *figures, _held(made.weights), _held(made.step)])
    for name, made in times.targets.items():
        figures = [f"{1000 * made.seconds:.3g}", "-"]
        rows.append([name, "target", *figures, _held(made.weights), _held(made.step)])
    loop = sum(attack.seconds for attack in times.attacks)
    rows.append(["all attacks' loops", "loop", f"{1000 * loop:.3g}", "1", "-", "-"])
    rows.append(["examples", "decoding", f"{1000 * times.decoding:.3g}", "1", "-", "-"])
    return rows


def _files(found: Outlook) -> list[list[str]]:
    return [
        [a.table, f"{a.rows:,}", _size(a.bytes), f"{a.parts:,}", f"{a.files:,}"]
        for a in found.amounts
    ]


def _limits(found: Outlook) -> list[list[str]]:
    busy = found.forecast.busy
    return [
        [
            stage.name,
            f"{stage.places:g}",
            stage.mostly,
            in_words(stage.seconds),
            f"{100 * busy[stage.name]:.0f}",
        ]
        for stage in found.forecast.stages
    ]


def _held(count: int | None) -> str:
    return "-" if count is None else _size(count)


def _size(count: float) -> str:
    """Return bytes as ``1.5 GB``, ``23 MB`` or ``4 kB``."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
