"""Sources that were once written as an `import:` of Gauntlet's own modules."""

from __future__ import annotations

from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput, Problem

_NOW = {
    "import:jobs.quickstart.networks:load": ("quickstart/", "name"),
    "import:pipeline.surrogates.restored:network": ("trained:", "file"),
}
"""The scheme of today, and the option that holds what follows it."""


def as_written_now(spec: ModelSpec) -> ModelSpec:
    """Return a spec with the source that an old text means; any other as it is.

    Jobs and stored plans keep the text that they have: it is part of what a run is known by.

    Raises:
        BadInput: when the option that says which network is missing.
    """
    if spec.source not in _NOW:
        return spec
    scheme, option = _NOW[spec.source]
    options = dict(spec.options)
    rest = options.pop(option, None)
    if not isinstance(rest, str):
        raise BadInput(Problem("options", f"`{option}` is missing"))
    return spec.model_copy(update={"source": f"{scheme}{rest}", "options": options})
