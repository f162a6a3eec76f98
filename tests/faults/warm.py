"""A process that has imported what commands import, and forks one for each that is asked for.

Most of a small command's time goes into imports. What a fork does then is what `python -m gauntlet`
does, in a process and a session of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]

_server: subprocess.Popen[str] | None = None


def start(words: Sequence[str], environment: dict[str, str], log: Path) -> int:
    """Start a command and return its process, which is soon this one's child.

    Args:
        words: after `gauntlet`.
        environment: all of it.
        log: what it prints goes to files of this name, with `.out` and `.err`; it works beside.
    """
    assert _server is not None
    assert _server.stdin is not None
    assert _server.stdout is not None
    _server.stdin.write(json.dumps([list(words), environment, str(log)]) + "\n")
    return int(_server.stdout.readline())


@contextmanager
def ready() -> Iterator[None]:
    """Have the process that forks, in this context."""
    global _server
    line, whole = [sys.executable, "-m", "tests.faults.warm"], {"PYTHONPATH": str(REPOSITORY)}
    _server = subprocess.Popen(
        line, cwd=REPOSITORY, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | whole,
    )  # fmt: skip
    with _server:  # which ends when its input does
        yield
    _server = None


def _serve() -> Any:
    """Fork for each line of the input; return what a fork is to do, None at the end."""
    for line in sys.stdin:
        if child := os.fork():
            os.waitpid(child, 0)  # whose own child is an orphan then, and goes to who adopts it
        elif child := os.fork():
            print(child, flush=True)
            os._exit(0)
        else:
            return json.loads(line)
    return None


def _become(words: list[str], environment: dict[str, str], log: str) -> None:
    """Make of this process a command that has just been started."""
    os.setsid()
    os.chdir(Path(log).parent)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((0, os.devnull), (1, f"{log}.out"), (2, f"{log}.err")):
        file = os.open(name, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests were started with
    sys.argv = ["gauntlet", *words]


def _main() -> None:
    from gauntlet.jobs.cli import finished, resume_run, run_job  # noqa: F401
    from gauntlet.jobs.cli.app import main
    from gauntlet.pipeline.run import runner  # noqa: F401

    if (request := _serve()) is not None:
        _become(*request)
        main()


if __name__ == "__main__":
    _main()
