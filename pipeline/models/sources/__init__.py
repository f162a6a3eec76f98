"""Where networks come from, by the beginning of a spec's ``source``."""

from __future__ import annotations

import re

from gauntlet.pipeline.models.sources.facenet_source import FacenetSource
from gauntlet.pipeline.models.sources.file_source import FileSource
from gauntlet.pipeline.models.sources.import_source import ImportSource
from gauntlet.pipeline.models.sources.mean_source import MeanSource
from gauntlet.pipeline.models.sources.old_spellings import OLD_SPELLINGS
from gauntlet.pipeline.models.sources.permission import NOTHING, Permission
from gauntlet.pipeline.models.sources.quickstart_source import QuickstartSource
from gauntlet.pipeline.models.sources.source import Permitting, Source
from gauntlet.pipeline.models.sources.timm_source import TimmSource
from gauntlet.pipeline.models.sources.torchvision_source import TorchvisionSource
from gauntlet.pipeline.models.sources.trained_source import TrainedSource
from gauntlet.pipeline.models.sources.zoo_source import ZooSource
from gauntlet.pipeline.problems import BadInput, Problem, suggest

SOURCES: dict[str, Source] = {
    "timm/": TimmSource(),
    "torchvision/": TorchvisionSource(),
    "facenet/": FacenetSource(),
    "zoo/": ZooSource(),
    "quickstart/": QuickstartSource(),
    "file:": FileSource(),
    "trained:": TrainedSource(),
    "import:": ImportSource(),
    "mean:": MeanSource(),
}


def find_source(text: str, permission: Permission = NOTHING) -> tuple[Source, str]:
    """Return the source that a text names, and the text after its scheme.

    Args:
        text: as in a job.
        permission: the code of the person's that the source may run.

    Raises:
        BadInput: when the scheme is unknown or nothing follows it.
    """
    if old := OLD_SPELLINGS.get(text):
        return old.under(permission), ""
    for scheme, source in SOURCES.items():
        if text.startswith(scheme):
            rest = text.removeprefix(scheme)
            if not rest:
                raise BadInput(Problem("source", f"nothing follows {scheme!r}"))
            permitted = source.under(permission) if isinstance(source, Permitting) else source
            return permitted, rest
    # Compare schemes only, the separator included: "tim/resnet50" is near "timm/" by its beginning.
    scheme = re.split(r"(?<=[/:])", text, maxsplit=1)[0]
    what = suggest(scheme, list(SOURCES), "source")
    raise BadInput(Problem("source", f"{what} (for example timm/resnet50)"))
