"""What stands in the way of a run beside its job: the folder, the cluster, the machine."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.jobs.cli.folders import new_run_folder
from gauntlet.jobs.spec.checks.inspection import BEFORE_A_RUN, inspect
from gauntlet.jobs.spec.loading import LoadedJob
from gauntlet.jobs.spec.overrides import Override
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results import RunFolder
from gauntlet.pipeline.run.plan import Plan


def changed(changes: Sequence[str], placement: str | None) -> list[str | Override]:
    """Return what the options change in the job."""
    overrides: list[str | Override] = list(changes)
    if placement is not None:
        overrides.append(Override(("resources", "placement"), placement, "--placement"))
    return overrides


def ready(loaded: LoadedJob, out: str | None, address: str | None) -> tuple[str, list[Problem]]:
    """Return the folder of a new run, and all that stands in its way beside the job itself."""
    problems = inspect(loaded.draft, BEFORE_A_RUN) + without_ray_at(address, loaded.plan)
    place = "output" if out is None else "--out"
    try:
        folder = new_run_folder(loaded.plan.name, loaded.output, out)
        if obstacle := RunFolder(folder).obstacle():
            problems.append(Problem(place, obstacle))
    except BadInput as error:
        problems += error.problems
        folder = ""
    except OSError as error:  # of an object store
        problems.append(Problem(place, str(error)))
        folder = ""
    return folder, problems


def placed(plan: Plan, address: str | None) -> tuple[str, list[Problem]]:
    """Return where a plan would be worked on, and what would not fit there."""
    from gauntlet.actors.launch import foresee  # Ray is for those who ask for it

    try:
        return foresee(plan, address), []
    except BadInput as error:
        return "", list(error.problems)


def without_ray_at(address: str | None, plan: Plan) -> list[Problem]:
    """Return what is wrong with naming a cluster for a plan that works without Ray."""
    if address is None or plan.resources.placement != "in-process":
        return []
    what = (
        "placement in-process works without Ray; choose auto, packed or pinned, "
        "or leave --address out"
    )
    return [Problem("--address", what)]
