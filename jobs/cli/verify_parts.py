"""What `gauntlet methods --verify` does."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from gauntlet.jobs.cli.exit_status import Status
from gauntlet.jobs.reports.grid import names, texts
from gauntlet.jobs.reports.tables import print_table
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.pipeline.attacks.own_parts import load_parts
from gauntlet.pipeline.attacks.part import place_of
from gauntlet.pipeline.laws import Fault, first_fault


def verify_parts(sources: Sequence[str]) -> int:
    """Ask the parts of files and packages whether they keep the laws, and print what comes out."""
    table, faults = [], []
    for part in [part for source in sources for part in load_parts(source)]:
        try:
            fault = first_fault(part())
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]
            what = f"its options have no defaults to be asked with: {reason['loc'][0]}"
            fault = Fault("defaults", what, place_of(part))
        table.append(
            (part.token, part.place.value, "keeps the laws" if fault is None else "breaks one")
        )
        if fault is not None:
            faults.append(f"{fault.place}: {part.token!r}: {fault.law}: {fault.what}")
    print_table(terminal(), "parts", [*names("part"), *texts("place", "found")], table)
    for line in faults:
        terminal().print(line, soft_wrap=True)
    return Status.INCOMPLETE if faults else Status.DONE
