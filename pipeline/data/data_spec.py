"""What a job may write under `data`: the fields of one of the sources."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from gauntlet.pipeline.data.sources.source import DataSource, catalogue

if TYPE_CHECKING:
    DataSpec = DataSource
else:
    DataSpec = Annotated[reduce(operator.or_, catalogue()), Field(discriminator="source")]
"""Where the examples of a run come from."""
