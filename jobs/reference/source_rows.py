"""What the catalogue says of each source of models, from the sources themselves."""

from __future__ import annotations

import math

from gauntlet.jobs.reference.index import SourceRow
from gauntlet.pipeline.models import build


def source_rows(most: float = math.inf) -> list[SourceRow]:
    """Return every source with the names that it knows, those of installed libraries included.

    Args:
        most: names of one source; where there are more, none are given.
    """
    found = [
        SourceRow(form=offer.form, what=offer.what, names=offer.names) for offer in build.offers()
    ]
    many = {"names": None}
    return [row.model_copy(update=many) if len(row.names or ()) > most else row for row in found]
