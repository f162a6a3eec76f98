"""What came of a case: the run goes on until it is whole, and is compared."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gauntlet.pipeline.results import RunFolder
from tests.faults import job
from tests.faults.case import Case
from tests.faults.command import Ending
from tests.faults.comparison import Comparison, compare
from tests.faults.results import Result

RESUMES = 4
"""Times that a run is resumed at most until it is whole."""
_ADVICE = re.compile(r"(delete|put) (\S+?)(?:,| back)")


class Aftermath:
    """Tells a case's fault, and what comes of it.

    Args:
        case: entered.
    """

    def __init__(self, case: Case) -> None:
        self._case, self._anew = case, False

    def result(self) -> Result:
        """Tell the fault, go on with the run until it is whole, and compare."""
        case = self._case
        case.fault.tells(case)
        case.stopped()
        case.gates.release()
        case.gates.heal()
        case.environment, case.within = {}, ()
        recovered = self._first_entry_after(case.struck)
        if self._is_left():
            began = time.time()
            self._go_on()
            recovered = self._first_entry_after(began)
        first = case.endings[0]
        comparison = compare(case.run, case.undisturbed.run)
        left = tuple(sorted(case.left)), tuple(self._left_files())
        return Result(
            case.fault.name, case.seed, case.placement, "; ".join(case.drawn),
            tuple(case.endings), comparison, recovered, *left,
            tuple(self._wrong(first, comparison, *left)),
        )  # fmt: skip

    def _is_left(self) -> bool:
        """Return whether the run is not whole."""
        case = self._case
        if (
            not case.endings
            or case.endings[-1].status != 0
            or not (case.run / "manifest.json").exists()
        ):
            return True
        return bool(RunFolder(str(case.run)).damage(whole=True))

    def _go_on(self) -> None:
        """Resume, and do what the lines say, until the run is whole."""
        case = self._case
        for _ in range(RESUMES):
            begun = (case.run / "record").is_dir() or (case.run / "plan.json").exists()
            words: tuple[str, ...] = ("resume", str(case.run))
            if not begun:
                words = ("run", str(case.job), "--out", str(case.run))
                self._anew = True
            command = case.start(*words)
            case.see(command)
            if case.endings[-1].status == 0:
                return
            self._follow(command.errors)

    def _follow(self, text: str) -> None:
        """Do what a refusal says."""
        for verb, name in _ADVICE.findall(text):
            path = self._case.run / name
            if name == "it":
                path = Path(text[: text.index("delete it")].rpartition("\n")[2].partition(": ")[0])
            if verb == "delete":
                with suppress(OSError):
                    path.unlink()
            elif name in self._case.copies:
                path.write_bytes(self._case.copies[name])

    def _first_entry_after(self, when: float) -> float | None:
        times = sorted(link.at for link in job.links(self._case.run) if link.at > when)
        return round(times[0] - when, 2) if when and times else None

    def _left_files(self) -> Iterator[str]:
        case = self._case
        for path in sorted(case.run.rglob("*")):
            within = path.relative_to(case.run)
            if path.name.startswith(".") or within.parts[0] in ("_parts", "lock.json"):
                yield f"run/{within}"
        known = {".out", ".err"}
        for name in ("said", "disk", "home", "tmp"):
            for path in sorted((case.folder / name).rglob("*")):
                within = path.relative_to(case.folder)
                if not (path.is_dir() or path.is_relative_to(case.run) or path.suffix in known):
                    yield str(within)
        yield from (f"ray/{path.name}" for path in sorted(case.ray.iterdir()))

    def _wrong(
        self, first: Ending, found: Comparison, left: tuple[str, ...], files: tuple[str, ...]
    ) -> Iterator[str]:
        case = self._case
        yield from case.complaints
        if not found.same:
            yield f"rows differ: {found}"
        if found.named and not case.fault.named:
            yield f"{found.named} rows of examples in `failures` are missing"
        if first.status not in case.fault.ends:
            expected = ", ".join(map(str, sorted(case.fault.ends)))
            yield f"ended with status {first.status} ({first.last}); expected {expected}"
        if case.endings[-1].status != 0:
            yield f"cannot be resumed: {case.endings[-1].last}"
        elif damage := RunFolder(str(case.run)).damage(whole=True):
            yield damage.line
        tells = first.status in (3, 130, 143) and not self._anew
        if tells and "gauntlet resume" not in first.last and "gauntlet report" not in first.last:
            yield f"its last line is not how to go on: {first.last}"
        for ending in case.endings:
            if ending.traceback:
                yield f"{ending.command} printed a traceback"
        if left:
            yield f"processes are left: {', '.join(left)}"
        if files:
            yield f"files are left: {', '.join(files)}"
