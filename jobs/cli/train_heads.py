"""What `gauntlet heads train` does: heads for `objective: fd`, from images not attacked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.cli.training_images import open_everything
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.spec.checks.heads import needed, wanted_classes
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.data.examples import open_examples
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.heads import LEAST_AUC, head_path, heads_key, read_head
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.run.plan_models import build_surrogate
from gauntlet.pipeline.training.head_training import train_heads
from gauntlet.pipeline.training.unattacked import hashes_of


def train(
    job: str, changes: Sequence[str], images: str | None, limit: int, allowed: Sequence[str] = ()
) -> int:
    """Train the heads that a job's attacks need and that are not there yet, or cannot be used.

    Args:
        job: job file, or name of a bundled one.
        changes: overrides such as ``attacks.0.options.fd.layer=layer3``.
        images: a job whose `data` to train on; by default all images of the job's own source.
        limit: most images to train on, chosen by a hash of seed and id. Attacked images (the same
            pixels, whatever their name) are always left out.
        allowed: folders and packages that the jobs' models may run code from, too.

    Returns:
        The exit status: incomplete when a head separates its class too badly to be used.

    Raises:
        BadInput: when no attack needs heads, or none can be trained.
    """
    console = terminal(soft_wrap=True)
    loaded = open_job(find_job(job), list(changes), allowed)
    plan = loaded.plan
    needs = list(needed(plan.attacks, plan.surrogates, plan.task.goal))
    if not needs:
        raise BadInput(Problem("attacks", "no attack has `objective: fd`: no heads are needed"))
    attacked = open_examples(plan.data, plan.task.goal, root=plan.root, seed=plan.seed)
    labels = wanted_classes(attacked)
    hashes = hashes_of(attacked)
    examples = open_everything(plan, images, allowed)
    order = Draws.keyed(plan.seed, examples.ids).bits("heads").argsort()
    examples = examples.subset(order[:limit].tolist())
    weak = 0
    for need in needs:
        model, _ = build_surrogate(need.spec, plan, loaded.permission)
        heads = need.heads
        key = heads_key(model.fingerprint, heads.layer, heads.training)
        new = [n for n in labels if not _usable(head_path(heads.folder, key, n), hashes)]
        at = f"{need.spec.name}, {heads.layer or 'default layer'}"
        console.print(f"{at}: {len(labels) - len(new)} heads are there, {len(new)} to train")
        if not new:
            continue
        found: dict[int, float] = {}
        try:
            train_heads(
                model,
                heads.layer,
                heads.training,
                examples,
                hashes,
                new,
                heads.folder,
                found.__setitem__,
            )
        except BadInput:
            raise
        except ValueError as error:  # no such layer
            place = f"attacks.{need.attack}.options.fd.layer"
            raise BadInput(Problem(place, f"{need.spec.name}: {error}")) from None
        for label, auc in found.items():
            refused = "" if auc >= LEAST_AUC else f": below {LEAST_AUC}, the attack will refuse it"
            console.print(f"  class {label}: AUC {auc:.4f}{refused}")
            weak += auc < LEAST_AUC
    return Status.INCOMPLETE if weak else Status.DONE


def _usable(path: Path, attacked: Tensor) -> bool:
    """Return whether there is a good head that no attacked image has trained."""
    if not path.is_file():
        return False
    head = read_head(path, torch.device("cpu"), torch.float32)
    return head.auc >= LEAST_AUC and not bool(torch.isin(head.trained_on, attacked).any())
