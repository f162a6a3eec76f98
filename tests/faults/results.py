"""What came of many cases: a line of JSON each, and the table that is made of them.

`python -m tests.faults.results FILE` writes the table into docs/reliability.md.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.command import Ending
from tests.faults.comparison import Comparison
from tests.faults.fault import Fault, faults
from tests.faults.warm import REPOSITORY

PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
HEAD = (
    "what happens", "placements", "runs", "ended with", "lost", "named", "doubled", "changed",
    "images", "recovered after s", "as asked",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Attributes:
        fault: its name.
        seed: keys its draws.
        placement: where the work was done.
        moment: when it happened, and what was drawn beside.
        endings: of the disturbed command, and of those by which the run went on.
        comparison: with an undisturbed run, at the end.
        recovered: seconds from the fault to the record's next entry; where the run ended by it,
            from the start of `resume`; None where no entry followed.
        left_processes: names of processes that outlived a command.
        left_files: files that nobody needs, within the run's folder and outside.
        wrong: what is not as it should be; empty if all is well.
    """

    fault: str
    seed: int
    placement: str
    moment: str
    endings: tuple[Ending, ...]
    comparison: Comparison
    recovered: float | None
    left_processes: tuple[str, ...]
    left_files: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def line(self) -> dict[str, Any]:
        """For a line of JSON."""
        return asdict(self)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the results in a file; none if there is none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def add(path: Path, result: Result) -> None:
    """Append a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(result.line) + "\n")


def table(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table: a fault a line, those without a run, too."""
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * len(HEAD)}"
    for fault in faults().values():
        of = [result for result in results if result["fault"] == fault.name]
        yield f"| {' | '.join(_row(fault, of))} |"


def _row(fault: Fault, results: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"{fault.does} (`{fault.name}`)"
    yield ", ".join(sorted({str(result["placement"]) for result in results})) or "-"
    yield str(len(results))
    statuses = [result["endings"][0]["status"] for result in results]
    yield ", ".join(str(status) for status in sorted({*statuses}, key=str))
    for what in ("lost", "named", "doubled", "changed", "images"):
        yield str(sum(result["comparison"][what] for result in results))
    times = [result["recovered"] for result in results if result["recovered"] is not None]
    yield f"{statistics.median(times):.1f} (at most {max(times):.1f})" if times else "-"
    sound = sum(not result["wrong"] for result in results)
    yield f"{sound} of {len(results)}"


def renew(path: Path, page: Path = PAGE) -> None:
    """Write the table of a file's results into the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    lines = "\n".join(table(read(path)))
    page.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}")


if __name__ == "__main__":
    renew(Path(sys.argv[1]))
