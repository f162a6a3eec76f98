"""What a job needs that is not on this machine: which files, where from, and into which folder."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.jobs.reports.terminal import Terminal
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.wanted import Wanted, wanted
from gauntlet.pipeline.problems import Problem
from gauntlet.pipeline.run.plan import Plan

_DATA = {
    "imagenet": (
        "ImageNet's 50,000 validation images, one folder a class: ILSVRC2012_img_val.tar, 6.3 GB, "
        "from https://image-net.org/download-images (by hand: an account is needed)"
    ),
    "lfw": (
        "Labeled Faces in the Wild: lfw.tgz, 173 MB, and pairs.txt from "
        "http://vis-www.cs.umass.edu/lfw/ (by hand), its faces aligned to the job's size"
    ),
    "cifar10": (
        "CIFAR-10: cifar-10-python.tar.gz, 163 MB, from "
        "https://www.cs.toronto.edu/~kriz/cifar.html (by hand)"
    ),
}
"""By the data's source: what is published, how large, and where."""


def print_to_fetch(plan: Plan, job: str, console: Terminal) -> None:
    """Print every file that is not here, with its size where a publisher states one.

    Args:
        plan: what would be run.
        job: as the person calls it, with what they change in it.
        console: where to.
    """
    files = missing_files(plan, [])  # what is wrong with a model is told by the check
    data = _missing_data(plan)
    if not files and not data:
        return
    sizes = [one.missing.size for one in files if one.missing.size]
    known = f", {_size(sum(sizes))} of those whose size is stated" if sizes else ""
    count = len(files)
    console.print(f"to fetch: {count} file{'' if count == 1 else 's'} of weights{known}")
    for one in files:
        console.print(f"  {line(one)}", soft_wrap=True)
    for text in data:
        console.print(f"  data: {text}", soft_wrap=True)
    if direct := sum(one.missing.direct for one in files):
        console.print(f"  gauntlet models fetch {job}: gets {direct} of the {count}")


def missing_files(plan: Plan, wrong: list[Problem] | None = None) -> list[Wanted]:
    """Return the files of all models of a plan that are not here; see `wanted`."""
    return wanted((*plan.surrogates, *plan.targets), plan.root, wrong)


def line(one: Wanted) -> str:
    """Return a missing file in a line: for which models, from where, to where."""
    missing = one.missing
    size = f"{_size(missing.size)} " if missing.size else ""
    by_hand = "" if missing.direct else " (by hand)"
    where = missing.where or "wherever it is published"
    source = f"from {where}" if "://" in where else where
    names = ", ".join(dict.fromkeys(one.models))
    return f"{names}: {size}{source}{by_hand} to {missing.path}"


def _missing_data(plan: Plan) -> Sequence[str]:
    """Return what data are not here: a line for each path of theirs."""
    text = plan.data.fetch or _DATA.get(plan.data.source, "")
    gone = []
    for field in type(plan.data).paths:
        value = getattr(plan.data, field)
        if isinstance(value, str) and not (path := plan.root / expanded(value)).exists():
            gone.append((field, path))
    if not gone:
        return []
    to = " and ".join(f"{path} (`{field}`)" for field, path in gone)
    return [f"{text}; to {to}" if text else to]


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
