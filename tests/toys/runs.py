"""A small real run: drawn shapes, bundled networks, two attacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from gauntlet import jobs
from gauntlet.actors.launch import launch
from gauntlet.jobs.spec.loading import LoadedJob, open_job
from gauntlet.pipeline import results
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.stream import Outcome

QUICKSTART = Path(jobs.__file__).parent / "bundled" / "quickstart"
KEYS = ["example", "attack", "target", "step"]


def network(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "source": f"quickstart/{name}", **more}


def own(name: str, factory: str) -> dict[str, Any]:
    """A network of the quickstart that a test's own factory has changed."""
    options = {"name": name}
    return {"name": name, "source": f"import:{factory}", "options": options, "input_size": [32, 32]}


def job(**changes: Any) -> dict[str, Any]:
    return {
        "name": "small",
        "task": {"kind": "classification", "goal": "untargeted"},
        "root": str(QUICKSTART),
        "data": {"source": "npz", "path": "shapes.npz"},
        "select": {"correct": "all", "limit": 24},
        "surrogates": [network("plain"), network("separable")],
        "targets": [network("wide"), {"like": "wide", "defence": "resize-pad", "repeats": 3}],
        "attacks": [
            {"base": "mi", "steps": 4},
            {"base": "pgd-di", "combine": "rgea", "steps": 4},
        ],
        "resources": {"batch": 8, "threads": 1},
    } | changes


def loaded(folder: Path, **changes: Any) -> LoadedJob:
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job(**changes)))
    return open_job(path)


def plan(folder: Path, **changes: Any) -> Plan:
    return loaded(folder, **changes).plan


def carry_out(folder: Path, placement: str, name: str = "run", **changes: Any) -> Outcome:
    resources = {"batch": 8, "threads": 1, "placement": placement, **changes.pop("resources", {})}
    given = loaded(folder, resources=resources, **changes)
    return launch(given.plan, str(folder / name), permission=given.permission)


def verdicts(run: Path | str) -> pd.DataFrame:
    frame = results.read(str(run), "verdicts")
    return frame.sort_values(KEYS).reset_index(drop=True)
