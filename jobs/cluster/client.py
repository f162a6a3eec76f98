"""A cluster's jobs API, as one who submits a run needs it."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gauntlet.actors.address import PATIENCE, answers
from gauntlet.actors.session import addressed_directly, environment
from gauntlet.pipeline.problems import BadInput, Problem

EXTRA = (
    "Ray's jobs API is not installed here: pip install 'gauntlet[cluster]', and the same on "
    "every node"
)
PORT = 8265
"""Where Ray's dashboard listens unless it is told otherwise."""
AGAIN = 1.0
"""Seconds between two questions for a job's status."""
STARTING = 60.0
"""Seconds that a cluster may need, after it answers, until it takes jobs."""


class Client:
    """Submits jobs to a cluster and hears of them.

    Args:
        address: URL of the cluster's dashboard, ``http://HOST:8265``; the scheme may be left out.

    Raises:
        BadInput: when the jobs API is not installed here, nothing answers at the address, or what
            answers takes no jobs.
    """

    def __init__(self, address: str) -> None:
        self.address = _url(address)
        kind = _client()
        parts = urlsplit(self.address)
        if not answers(f"{parts.hostname}:{parts.port}"):
            what = (
                f"nothing answers at {self.address} within {PATIENCE:.0f} s: give the URL of the "
                f"cluster's dashboard (http://HOST:{PORT}), which runs where gauntlet[cluster] is "
                "installed on the head"
            )
            raise BadInput(Problem("--address", what))
        try:
            with addressed_directly():
                self._jobs: Any = kind(self.address)
            for module in (kind.__module__, kind.__base__.__module__):  # they speak of themselves
                logging.getLogger(module).setLevel(logging.WARNING)
        except Exception as error:  # of requests, of JSON, of Ray: whatever answers there
            what = f"what answers at {self.address} takes no Ray jobs: {_first_line(error)}"
            raise BadInput(Problem("--address", what)) from None

    def submit(self, command: str, folder: Path) -> str:
        """Submit a command that is given in a folder that travels along; return the job's ID.

        Raises:
            BadInput: when the cluster refuses it.
        """
        until = time.monotonic() + STARTING
        while True:
            try:
                return self._submit(command, folder)
            except (RuntimeError, ValueError, OSError) as error:
                if "No available agent" not in str(error) or time.monotonic() > until:
                    what = f"{self.address} refused the job: {_first_line(error)}"
                    raise BadInput(Problem("submit", what)) from None
            time.sleep(AGAIN)

    def _submit(self, command: str, folder: Path) -> str:
        # Ray leaves out what a .gitignore names, which may be a network's weights.
        with addressed_directly(), environment({"RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1"}):
            given: str = self._jobs.submit_job(
                entrypoint=command, runtime_env={"working_dir": str(folder)}
            )
        return given

    def follow(self, job: str, say: Callable[[str], None]) -> int | None:
        """Say a job's output, from its beginning, until it ends; return its exit status.

        None stands for a job whose end left none, because Ray could not start it or lost it.

        Raises:
            BadInput: when the cluster knows no such job.
            OSError: when the cluster is out of reach.
        """
        self._details(job)
        said = asyncio.run(self._say_log(job, say))
        while not (details := self._details(job)).status.is_terminal():
            time.sleep(AGAIN)
            said = asyncio.run(self._say_log(job, say, said))
        code: int | None = details.driver_exit_code
        if code is not None:
            return code if code >= 0 else 128 - code
        ended = {"SUCCEEDED": 0, "STOPPED": 128 + signal.SIGTERM}
        if (status := str(details.status.value)) not in ended:
            say(f"{details.message or status}\n")
        return ended.get(status)

    async def _say_log(self, job: str, say: Callable[[str], None], said: int = 0) -> int:
        """Say what comes after so many characters; return how many were said by now."""
        from aiohttp import ClientError

        seen = 0
        # Where the connection breaks the status tells whether that was the end.
        with suppress(RuntimeError, ClientError):
            async for text in self._jobs.tail_job_logs(job):
                if fresh := text[max(0, said - seen) :]:
                    say(fresh)
                seen += len(text)
        return max(seen, said)

    def _details(self, job: str) -> Any:
        try:
            return self._jobs.get_job_info(job)
        except RuntimeError as error:
            what = f"no job {job} at {self.address} ({_first_line(error)})"
            raise BadInput(Problem("attach", what)) from None


def _client() -> type[Any]:
    """Return Ray's class, if what it needs is installed."""
    try:
        for needed in ("aiohttp", "requests"):
            import_module(needed)
        from ray.job_submission import JobSubmissionClient
    except ImportError:
        raise BadInput(Problem("", EXTRA)) from None
    found: type[Any] = JobSubmissionClient
    return found


def _url(address: str) -> str:
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443}.get(parts.scheme, PORT)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = f"expected the URL of a Ray dashboard, http://HOST:{PORT}, got {address!r}"
        raise BadInput(Problem("--address", what))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
