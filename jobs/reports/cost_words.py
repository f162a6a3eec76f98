"""What a run was expected to take beside what it took, in two lines."""

from __future__ import annotations

from gauntlet.pipeline.results.manifest import CostRecord, Manifest


def cost_words(manifest: Manifest) -> list[str]:
    """Return the lines; none of a run that has not come to its end, or is older than these."""
    measured, foretold = manifest.measured, manifest.foretold
    if measured is None:
        return []
    spent = _stages(measured)
    part = f", of {measured.units:,} units in the last attempt alone"
    of = part if measured.units < manifest.units.done else ""
    lines = [f"took {measured.seconds or 0.0:.1f} s{of}: {spent}"]
    if measured.bytes is not None:
        lines[0] += f"; {_size(measured.bytes)} in {measured.files} files"
    if foretold is None:
        return [*lines, "nobody asked beforehand: `gauntlet plan JOB` says what a run would take"]
    whole = "" if foretold.seconds is None else f"{foretold.seconds:.1f} s: "
    text = f"expected, by {foretold.basis}: {whole}{_stages(foretold)}"
    if foretold.bytes is not None:
        text += f"; {_size(foretold.bytes)} in {foretold.files} files"
    if foretold.bottleneck:
        text += f"; bottleneck: {foretold.bottleneck}"
    return [*lines, text]


def _stages(cost: CostRecord) -> str:
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in cost.stages.items())


def _size(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"
