"""Peak memory of a whole run, in-process, from 256 to 2,048 images: it must not grow.

python -m bench.memory [--counts 256 2048]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.networks import images, specs


def measure(count: int, folder: str) -> None:
    """Run in a process of its own; print the peak resident size in MiB."""
    from gauntlet import Attack
    from gauntlet.pipeline.data.sources.npz import Npz
    from gauntlet.pipeline.models.sources.permission import granted
    from gauntlet.pipeline.progress import Silent
    from gauntlet.pipeline.results.run_folder import RunFolder
    from gauntlet.pipeline.run.local import LocalEngine
    from gauntlet.pipeline.run.plan import Plan, Resources, TaskSpec
    from gauntlet.pipeline.run.runner import Runner

    models = specs()
    plan = Plan(
        name="memory",
        task=TaskSpec(kind="classification", goal="untargeted"),
        root=Path(folder),
        data=Npz(source="npz", path="noise.npz", limit=count),
        surrogates=models,
        targets=tuple(m.model_copy(update={"name": f"{m.name}-target"}) for m in models[:2]),
        attacks=(Attack(base="mi", steps=1), Attack(combine="rgea", steps=1)),
        resources=Resources(batch=64),
    )
    outcome = Runner(
        plan, RunFolder(f"{folder}/run-{count}"), LocalEngine(plan, permission=granted()), Silent()
    ).run()
    assert outcome.units_failed == 0
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs=2, default=(256, 2048))
    given = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        pixels, labels = images(max(given.counts))
        stored = (pixels * 255).round().byte().permute(0, 2, 3, 1).numpy()
        np.savez(Path(folder) / "noise.npz", images=stored, labels=labels.numpy())
        for count in given.counts:
            script = f"from bench.memory import measure; measure({count}, {folder!r})"
            done = subprocess.run(
                [sys.executable, "-c", script], check=True, capture_output=True, text=True
            )
            peaks.append(float(done.stdout.split()[-1]))
            print(f"{count:5d} images: peak {peaks[-1]:.0f} MiB")
    print(f"ratio {peaks[1] / peaks[0]:.3f} (demanded: at most 1.10)")


if __name__ == "__main__":
    main()
