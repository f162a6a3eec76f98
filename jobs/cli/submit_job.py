"""What `gauntlet submit` and `gauntlet attach` do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from gauntlet.jobs.cli.exit_status import Status, said, say
from gauntlet.jobs.cli.folders import bundled_jobs, find_job
from gauntlet.jobs.cluster.client import Client, new_id
from gauntlet.jobs.cluster.parcel import ENTRY, packed
from gauntlet.jobs.reports.plain_text import visible
from gauntlet.jobs.spec.overrides import Override, apply
from gauntlet.jobs.spec.schema import Job
from gauntlet.jobs.spec.yaml_source import read
from gauntlet.pipeline.credentials import without_credentials
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.results.store_address import Address, is_remote


def submit_job(
    job: str,
    address: str,
    out: str | None,
    changes: Sequence[str],
    placement: str | None,
    yes: bool,
    strict: bool,
    allowed: Sequence[str],
    follow: bool,
) -> int:
    """Send a job to a cluster, print its ID, and follow it if that is wanted."""
    named = _named(job)
    _refuse_credentials(changes)
    _refuse_output_here(find_job(job), out, changes)
    client = Client(address)
    with packed(Path(), allowed) as (parcel, there):
        words = ["run", named, "--address", "auto"]
        for option, value in (("--out", out), ("--placement", placement)):
            words += [] if value is None else [option, value]
        words += [word for change in changes for word in ("--set", change)]
        for value in there:
            words += ["--parts" if value.endswith(".py") else "--allow-imports", value]
        words += ["--yes"] if yes else []
        words += ["--strict"] if strict else []
        version = metadata.version("gauntlet")
        given = new_id()
        try:
            client.submit(given, shlex.join(["python", ENTRY, version, *words]), parcel)
        except TimeoutError as error:
            say(f"{client.address}: {error}; if it took the job, see: {_attach(client, given)}")
            return Status.STOPPED
    print(given, flush=True)
    if follow:
        return _follow(client, given)
    say(f"follow it with: {_attach(client, given)}")
    return Status.DONE


def attach_job(job: str, address: str) -> int:
    """Follow a job that was submitted."""
    return _follow(Client(address), job)


def _follow(client: Client, job: str) -> int:
    def write(text: str) -> None:
        sys.stdout.write(visible(text))
        sys.stdout.flush()

    try:
        status = client.follow(job, write)
    except KeyboardInterrupt as error:
        return said(error, f"the job goes on; see it again with: {_attach(client, job)}")
    except OSError as error:
        say(f"lost sight of the job ({error}); see it again with: {_attach(client, job)}")
        return Status.STOPPED
    return Status.STOPPED if status is None else status


def _attach(client: Client, job: str) -> str:
    return f"gauntlet attach {job} --address {client.address}"


def _named(job: str) -> str:
    """Return what a job is called where its folder has been unpacked.

    Raises:
        BadInput: when its file does not go along.
    """
    path = find_job(job)
    if not Path(job).exists() and job.removesuffix(".yaml") in (*bundled_jobs(), path.stem):
        return job
    if not path.resolve().is_relative_to(Path().resolve()):
        what = "is not in the working folder, which is sent: submit from a folder around it"
        raise BadInput(Problem(job, what))
    return str(path.resolve().relative_to(Path().resolve()))


def _refuse_credentials(changes: Sequence[str]) -> None:
    """Refuse changes that hold a user or a password: they are in a command that clusters show."""
    for change in changes:
        if without_credentials(change) != change:
            field = change.partition("=")[0]
            what = f"{field} has credentials in it, which the cluster would show: leave them out"
            raise BadInput(Problem("--set", what))


def _refuse_output_here(path: Path, out: str | None, changes: Sequence[str]) -> None:
    """Refuse a run folder that is relative to the working folder: there it is a copy that goes."""
    document = apply(read(path), [Override.parse(change) for change in changes])
    given = document.data if isinstance(document.data, dict) else {}
    written = given.get("output", Job.model_fields["output"].default)
    for one in (out, written):
        if isinstance(one, str) and is_remote(one):
            Address.read(one)  # what it refuses must reach no command and no node of the cluster
    place, folder = ("output", written) if out is None else ("--out", out)
    if isinstance(folder, str) and is_remote(folder):
        return
    if isinstance(folder, str) and not Path(folder).is_absolute():
        what = (
            f"{folder} would lie in the cluster's copy of the working folder, which is deleted "
            "after the job: name a bucket, or an absolute path on the head, such as "
            "--out s3://bucket/run"
        )
        raise BadInput(Problem(place, what))
