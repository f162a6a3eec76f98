"""One fault at one seed: what its story can do to a run, and what came of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.faults import job, processes
from tests.faults.command import LONGEST, Command, Ending
from tests.faults.fault import Fault
from tests.faults.gates import VARIABLE, Gates, Sickness
from tests.faults.job import Undisturbed
from tests.faults.warm import REPOSITORY

GOODBYE = 20.0
"""Seconds after its command in which a process may still be about to end."""


class Missed(Exception):
    """The run was over before the moment came."""


class Case:
    """A run that something happens to, as a context.

    Args:
        fault: what.
        seed: keys the draws.
        folder: takes everything.
        undisturbed: a run of the same job that nothing happens to.

    Attributes:
        draws: random numbers of this fault and seed.
        run: the run's folder, as it is called now.
        command: that is disturbed.
        environment: variables of commands that are this fault's.
        within: words of a program that starts them.
        where: words that say where the run is done.
        copies: contents of files before the fault, which a person might have kept.
        struck: when it happened, by `time.time`.
        drawn: what was drawn, in words.
        endings: of the commands that have ended, in order.
        left: names of processes that outlived one.
        complaints: what stories found that is not as it should be.
    """

    command: Command | None = None

    def __init__(self, fault: Fault, seed: int, folder: Path, undisturbed: Undisturbed) -> None:
        self.fault, self.seed, self.folder = fault, seed, folder
        self.undisturbed = undisturbed
        self.draws = random.Random(f"{fault.name}/{seed}")
        self.placement = self.draws.choice(fault.placements)
        self.said = folder / "said"
        self.run = folder / "disk" / "run"
        self.gates = Gates(folder / "gates")
        self.copies: dict[str, bytes] = {}
        self.environment: dict[str, str] = {}
        self.within: tuple[str, ...] = ()
        self.where: tuple[str, ...] = ()
        self.struck = 0.0
        self.drawn: list[str] = []
        self.endings: list[Ending] = []
        self._seen: list[Command] = []
        self.complaints: list[str] = []
        self.left: set[str] = set()
        self._stack = ExitStack()
        self._before: set[int] = set()

    def __enter__(self) -> Case:
        for name in ("said", "disk", "home", "tmp"):
            (self.folder / name).mkdir(parents=True)
        self.gates.open()
        resources = {"placement": self.placement, **self.fault.resources}
        self.job = job.write(
            self.folder / "job", self.fault.pixels, self.fault.attacks, **resources
        )
        # Ray's sockets take a short path.
        self.ray = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gf-")))
        self._before = {process.pid for process in processes.descendants()}
        return self

    def __exit__(self, *error: object) -> None:
        processes.kill_all(self.living())
        self._stack.close()

    # -- what a story says ---------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Keep what was drawn."""
        self.drawn.append(text)

    def begin(self) -> Command:
        """Start the run that is disturbed."""
        self.command = self.start("run", str(self.job), "--out", str(self.run), *self.where)
        return self.command

    def start(self, *words: str) -> Command:
        """Start a command of this case."""
        number = len([*self.said.glob("*.err")])
        words = (*words, "--allow-imports", str(REPOSITORY))
        log = self.said / f"{number}-{words[0]}"
        return Command(words, self.surroundings, log, self.within)

    @property
    def surroundings(self) -> dict[str, str]:
        """Variables of what is started for this case, beside those of this process."""
        return {
            VARIABLE: str(self.folder / "gates"),
            "PYTHONPATH": str(REPOSITORY),
            "RAY_TMPDIR": str(self.ray),
            "TMPDIR": str(self.folder / "tmp"),
            "HOME": str(self.folder / "home"),
            "XDG_CACHE_HOME": str(self.folder / "home" / ".cache"),
            "GAUNTLET_CACHE": str(self.folder / "home" / ".cache" / "gauntlet"),
            "COLUMNS": "400",
            **self.environment,
        }

    @contextmanager
    def moment(self, role: str = "surrogate") -> Iterator[Command]:
        """Begin the run; the block is done at a drawn moment of its work.

        That is the beginning of some pass of a model, which then waits until the block is done, or
        when some entry of the record is there.

        Args:
            role: whose passes.

        Yields:
            The command.
        """
        entry = self.draws.random() < 1 / 3
        if entry:
            number = self.draws.randrange(1, min(5, self.undisturbed.entries))
            self.note(f"entry {number}")
        else:
            # Not before the models were asked about clean examples, and not at the very end.
            passes = self.undisturbed.passes(role)
            number = self.draws.randrange(passes // 10, passes * 9 // 10)
            self.note(f"pass {number} of {passes}")
            self.gates.hold(role, number)
        command = self.begin()
        self.until(lambda: self._has(number) if entry else self.gates.held() is not None)
        if not entry and self.draws.random() < 0.5:
            self.note("what was done before is committed")
            time.sleep(1.5)
        try:
            yield command
        finally:
            self.struck = time.time()
            self.gates.release()

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, while the command lives.

        Raises:
            Missed: when it has ended, or this takes too long.
        """
        assert self.command is not None
        end = time.time() + LONGEST
        while not is_so():
            if self.command.ended or time.time() > end:
                raise Missed(f"{self.fault.name}/{self.seed}: {self.command.errors[-2000:]}")
            time.sleep(0.005)

    def _has(self, number: int) -> bool:
        return any((self.run / "record").glob(f"{number:06d}.json"))

    def has_begun(self) -> bool:
        """Return whether attacks are at work: the examples are chosen."""
        return (self.run / "selection.json").exists()

    def living(self) -> list[processes.Process]:
        """Return the processes of this case that live."""
        return [found for found in processes.descendants() if found.pid not in self._before]

    def pick(self, *kinds: str) -> processes.Process:
        """Return a process of some kinds (``driver``; actors and programs by name)."""
        if kinds == ("driver",):
            assert self.command is not None
            return processes.Process(self.command.pid, "driver")
        found: list[processes.Process] = []

        def some() -> bool:
            found[:] = sorted(
                (process for process in self.living() if process.name in kinds),
                key=lambda process: process.pid,
            )
            return bool(found)

        self.until(some)
        held = [process for process in found if process.pid == self.gates.held()]
        return self.draws.choice(held if held and self.draws.random() < 0.5 else found)

    def send(self, number: signal.Signals, *kinds: str) -> processes.Process:
        """Send a signal to a process of some kinds."""
        process = self.pick(*kinds)
        self.note(f"{number.name} to {process.name}")
        os.kill(process.pid, number)
        return process

    def infect(self, how: str, spread: str, megabytes: int = 0, now: bool = False) -> None:
        """Make processes sick, from some pass on or at once."""
        passes = self.undisturbed.passes("surrogate")
        since = 0 if now else self.draws.randrange(passes // 8, passes // 2)
        self.note("at once" if now else f"from pass {since} of {passes} on")
        self.gates.infect(Sickness(how, since, spread, megabytes))  # type: ignore[arg-type]

    def mount(self, size: str) -> Path:
        """Put a small file system where the run will be; return its root."""
        place = self.folder / "disk"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
        self._stack.callback(lambda: subprocess.run(["umount", "--lazy", place], check=False))
        return place

    def wrap(self, *words: str) -> None:
        """Have the next commands started by a program."""
        self.within = words

    def stopped(self) -> None:
        """See the disturbed command end, if there is one."""
        if self.command is not None:
            self.see(self.command)

    def complain(self, text: str) -> None:
        """Say that something is not as it should be."""
        self.complaints.append(text)

    def harmed(self) -> None:
        """Say that the fault has happened now."""
        self.struck = time.time()

    def see(self, command: Command) -> None:
        """See a command end, and end what it left."""
        if any(command is seen for seen in self._seen):
            return
        self._seen.append(command)
        self.endings.append(command.ending())
        left = processes.wait_until_gone(self._before, GOODBYE)
        self.left |= {process.name for process in left}
        processes.kill_all(left)


def undisturbed(
    folder: Path, pixels: int = 8, attacks: Sequence[dict[str, Any]] = ()
) -> Undisturbed:
    """Carry the job out in one process, and let nothing happen to it."""

    def nothing(case: Case) -> None:
        """Nothing."""

    fault = Fault(nothing, ("in-process",), frozenset({0}), pixels=pixels, attacks=attacks)
    with Case(fault, 0, folder, Undisturbed(folder, Gates(folder))) as case:
        ending = case.begin().ending()
        assert ending.status == 0, ending
    return Undisturbed(case.run, case.gates)
