"""What the catalogue and the job file's page say: rows that are made from the code and shipped.

Reading them takes a fraction of a second, the code that they are made from seconds.
`python -m gauntlet.jobs.reference.renew` makes them anew.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from gauntlet.pipeline.spec import Spec

PATH = Path(__file__).with_name("index.json")
MOST_NAMES = 20
"""Names of one source that a table can take; libraries have more, and others in each version."""
OPEN = "…"
"""Stands for a default that is found from the network or the other options."""
PLACES: dict[str | None, str] = {
    "start": "Start: in `base`",
    "view": "View, what a surrogate sees instead of the image: in `base`",
    "surgery": "Surgery, how a surrogate computes or back-propagates: in `base`",
    "objective": "Objective, what is raised: `objective`",
    "penalty": "Penalty, what the objective is lessened by: in `base`",
    "gradient filter": "Gradient filter: in `base`",
    "combine": "Combination rule, how k surrogates' gradients become one direction: `combine`",
    "query point": "Query point, where surrogates are asked: in `base`",
    "update": "Update, how a direction becomes a step: in `base`",
    None: "Methods that are not parts",
}
"""The heading of each place, with the attack's field that names its parts."""


class FieldRow(Spec):
    """A field of the job file, or an option of a part."""

    name: str
    type: str
    """In plain words."""
    default: str
    """As a job would write it."""
    meaning: str


class Section(Spec):
    """A mapping of the job file."""

    heading: str
    introduction: tuple[str, ...]
    """Lines of Markdown."""
    fields: tuple[FieldRow, ...]


class MethodRow(Spec):
    """A part of attacks, or a method that is none."""

    place: str | None
    """Where in the loop it acts; None for a method that is no part."""
    name: str
    """What people write."""
    what: str
    """What it does, in a sentence."""
    defaults: str
    """Its options with their defaults, such as ``m=20, sigma=15/255``."""
    cost: str
    """Forward + backward passes per update for k surrogates."""
    needs: str
    """What it cannot do without; empty if nothing."""
    paper: str
    """Who proposed it."""
    text: str = ""
    """A part's whole documentation."""
    example: str = ""
    """An entry of `attacks` with the part."""
    options: tuple[FieldRow, ...] = ()
    origin: str = ""
    """Where a part of the person's own is defined; empty for what comes along."""


class SourceRow(Spec):
    """A source of models."""

    form: str
    """How a job writes it."""
    what: str
    names: tuple[str, ...] | None
    """Those that it knows; None where they are more than a table can take."""


class Index(Spec):
    """All rows."""

    methods: tuple[MethodRow, ...]
    """By place and name; those that are no parts follow."""
    sections: tuple[Section, ...]
    """In reading order."""
    sources: tuple[SourceRow, ...]
    layouts: int
    """Different sets of names and shapes of weights that the architectures of files have."""


@cache
def shipped() -> Index:
    """Return the rows that come with the package."""
    return Index.model_validate_json(PATH.read_bytes())
