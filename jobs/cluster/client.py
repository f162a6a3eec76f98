"""A cluster's jobs API, as one who submits a run needs it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gauntlet.actors.address import PATIENCE, answers
from gauntlet.actors.process_state import environment
from gauntlet.actors.session import addressed_directly
from gauntlet.pipeline.problems import BadInput, Problem

EXTRA = (
    "Ray's jobs API is not installed here: pip install 'gauntlet[cluster]', and the same on "
    "every node"
)
PORT = 8265
"""Where Ray's dashboard listens unless it is told otherwise."""
AGAIN = 1.0
"""Seconds between two questions for a job's status."""
ANSWER = 30.0
"""Seconds that what has taken a connection has for its next words."""
QUIET = 60.0
"""Seconds without output after which a log is asked for anew: a connection dies without a word."""
_UNKNOWN = "Request failed with status code 404:"
"""How Ray's client begins what it says of a job that the cluster does not know."""
STARTING = 60.0
"""Seconds that a cluster may need, after it answers, until it takes jobs."""


def new_id() -> str:
    """Return what a job may be called, as Ray calls those that come without a name."""
    return f"raysubmit_{secrets.token_hex(8)}"


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
            for module in (parent.__module__ for parent in kind.__mro__[1:3]):
                logging.getLogger(module).setLevel(logging.WARNING)  # they speak of themselves
        except Exception as error:  # of requests, of JSON, of Ray: whatever answers there
            what = f"what answers at {self.address} takes no Ray jobs: {_first_line(error)}"
            raise BadInput(Problem("--address", what)) from None

    def submit(self, job: str, command: str, folder: Path) -> None:
        """Submit a job: a command that is given in a folder that travels along.

        Args:
            job: a `new_id`, by which the job is known there.
            command: as a shell takes it.
            folder: where it is given.

        Raises:
            BadInput: when the cluster refuses it.
            TimeoutError: when the cluster is silent, and may have taken it.
        """
        until = time.monotonic() + STARTING
        while True:
            try:
                return self._submit(job, command, folder)
            except TimeoutError:
                raise
            except (RuntimeError, ValueError, OSError) as error:
                if "No available agent" not in str(error) or time.monotonic() > until:
                    what = f"{self.address} refused the job: {_first_line(error)}"
                    raise BadInput(Problem("submit", what)) from None
            time.sleep(AGAIN)

    def _submit(self, job: str, command: str, folder: Path) -> None:
        # Ray leaves out what a .gitignore names, which may be a network's weights.
        with addressed_directly(), environment({"RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1"}):
            self._jobs.submit_job(
                entrypoint=command, runtime_env={"working_dir": str(folder)}, submission_id=job
            )

    def follow(self, job: str, say: Callable[[str], None]) -> int | None:
        """Say a job's output, from its beginning, until it ends; return its exit status.

        None stands for a job whose end left none, because Ray could not start it or lost it.

        Raises:
            BadInput: when the cluster knows no such job.
            OSError: when the cluster is out of reach or order, or silent for longer than
                `ANSWER`.
        """
        details, said = self._details(job), 0
        while True:
            over = details.status.is_terminal()
            said, whole = asyncio.run(self._say_log(job, say, said))
            details = self._details(job)
            if over or (whole and details.status.is_terminal()):
                break
            time.sleep(AGAIN)
        if not whole:
            say("the rest of its output cannot be had\n")
        code: int | None = details.driver_exit_code
        if code is not None:
            return code if code >= 0 else 128 - code
        ended = {"SUCCEEDED": 0, "STOPPED": 128 + signal.SIGTERM}
        if (status := str(details.status.value)) not in ended:
            say(f"{details.message or status}\n")
        return ended.get(status)

    async def _say_log(self, job: str, say: Callable[[str], None], said: int) -> tuple[int, bool]:
        """Say what comes after so many characters.

        Returns:
            how many were said by now, and whether the log has come to its end.
        """
        from aiohttp import ClientError

        seen, whole = 0, False
        log = aiter(self._jobs.tail_job_logs(job))
        # Where the connection breaks, or dies, the status tells whether that was the end.
        with suppress(RuntimeError, ClientError, TimeoutError):
            try:
                while True:
                    text = await asyncio.wait_for(anext(log), QUIET)
                    if fresh := text[max(0, said - seen) :]:
                        say(fresh)
                    seen += len(text)
            except StopAsyncIteration:
                whole = True
        return max(seen, said), whole

    def _details(self, job: str) -> Any:
        try:
            return self._jobs.get_job_info(job)
        except RuntimeError as error:
            said = _first_line(error)
            if not said.startswith(_UNKNOWN):  # a proxy or a dashboard that is out of order
                raise OSError(said) from None
            what = f"no job {job} at {self.address} ({said})"
            raise BadInput(Problem("attach", what)) from None


def _client() -> type[Any]:
    """Return Ray's class, each of whose requests has a limit, if what it needs is installed."""
    try:
        for needed in ("aiohttp", "requests"):
            import_module(needed)
        from ray.job_submission import JobSubmissionClient
        from requests import Timeout
    except ImportError:
        raise BadInput(Problem("", EXTRA)) from None

    class PatientClient(JobSubmissionClient):  # type: ignore[misc]
        def _do_request(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return super()._do_request(*args, timeout=(PATIENCE, ANSWER), **kwargs)
            except Timeout:
                raise TimeoutError(f"no answer within {ANSWER:g} s") from None

    return PatientClient


def _url(address: str) -> str:
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443}.get(parts.scheme, PORT)
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = f"expected the URL of a Ray dashboard, http://HOST:{PORT}, got {url!r}"
        raise BadInput(Problem("--address", what))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
