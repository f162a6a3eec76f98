"""Targets that are surrogates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from gauntlet.jobs.spec.checks.check import check
from gauntlet.jobs.spec.job_draft import JobDraft
from gauntlet.jobs.spec.wording import Complaint
from gauntlet.pipeline.files import obstacle
from gauntlet.pipeline.models import build
from gauntlet.pipeline.models.model_spec import ModelSpec


@check("root")
def white_boxes(job: JobDraft) -> Iterator[Complaint]:
    """Targets that are surrogates without saying so, and those that wrongly say so.

    Two models are the same when their weights are and they stand behind the same defence. Weights
    that a file of one's own holds are compared by content, others by source, architecture and
    options.
    """
    digests: dict[Path, str] = {}
    sound = [
        (model, model.spec, _weights(model.spec, job.root, digests))
        for model in job.models
        if model.spec is not None
    ]
    # The first surrogate with some weights behind each defence.
    surrogates: dict[str, dict[str, str]] = {}
    for model, spec, weights in sound:
        if model.role == "surrogates":
            surrogates.setdefault(weights, {}).setdefault(repr(spec.defence), model.name)
    all_sound = all(model.spec is not None for model in job.models if model.role == "surrogates")
    for target, spec, weights in sound:
        if target.role != "targets":
            continue
        alike = surrogates.get(weights, {})
        if spec.white_box and not alike and all_sound:
            what = f"{target.name!r} has the weights of no surrogate; remove `white_box: true`"
            yield Complaint(target.draft.locate(("white_box",)), what)
        same = alike.get(repr(spec.defence))
        if same is not None and not spec.white_box:
            yield Complaint(
                target.draft.home,
                f"{target.name!r} is the same model as the surrogate {same!r}; add "
                "`white_box: true` if that is meant, or choose another target",
            )


def _weights(spec: ModelSpec, root: Path, digests: dict[Path, str]) -> str:
    """Return a key that two specs share when they name the same weights.

    Args:
        spec: the model.
        root: folder that its path starts from.
        digests: of files read before; a file's own is put there.
    """
    if spec.members:
        return json.dumps([_weights(member, root, digests) for member in spec.members])
    path = build.weights_file(spec, root)
    if path is not None and obstacle(path) is None:
        try:
            if path not in digests:
                with path.open("rb") as stream:
                    digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
            return json.dumps([digests[path], spec.key])
        except OSError:
            pass  # a file that cannot be read is reported by its own check
    return json.dumps([spec.source, spec.architecture, spec.options], sort_keys=True)
