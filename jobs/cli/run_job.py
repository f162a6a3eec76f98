"""What `gauntlet run` does, and `gauntlet resume` where work is left."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from gauntlet.actors.launch import launch
from gauntlet.actors.lost import when_lost
from gauntlet.actors.own_session import abandon
from gauntlet.actors.ray_engine import RayEngine
from gauntlet.jobs.cli.bars import shown_on
from gauntlet.jobs.cli.ending import begun, failed_units, how_to_go_on, in_short
from gauntlet.jobs.cli.exit_status import Status, said, say, show_trace
from gauntlet.jobs.cli.finished import finished
from gauntlet.jobs.cli.folders import find_job
from gauntlet.jobs.cli.moved import moved, root_of
from gauntlet.jobs.cli.readable import reading
from gauntlet.jobs.cli.readiness import changed, placed, ready, without_ray_at
from gauntlet.jobs.cli.signals import at_the_limit, leave_after
from gauntlet.jobs.reports.doubts import decide_on, refuse_both
from gauntlet.jobs.reports.frames import Figures
from gauntlet.jobs.reports.summary import print_report
from gauntlet.jobs.reports.terminal import terminal
from gauntlet.jobs.spec.loading import open_job
from gauntlet.jobs.spec.overrides import Override
from gauntlet.pipeline.models.sources.permission import Permission, granted
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.results.patience import StorageFailed
from gauntlet.pipeline.results.reading import Reading
from gauntlet.pipeline.run.blame import CommonCause
from gauntlet.pipeline.run.plan import Plan, plan_of

OUT_OF_MEMORY = (
    "this process ran out of memory: smaller resources.batch, in_flight or part_megabytes take less"
)

GONE = (
    "the run is not there any more, and cannot be resumed unless it is put back: then go on with: "
    "gauntlet resume {}; else run the job anew"
)
"""What is said of a run whose folder was removed under it."""


def run_job(
    job: str,
    out: str | None,
    changes: Sequence[str],
    address: str | None,
    placement: str | None,
    yes: bool,
    strict: bool,
    allowed: Sequence[str],
) -> int:
    """Run a job in a new folder."""
    refuse_both(yes, strict)
    loaded = open_job(find_job(job), changed(changes, placement), allowed)
    folder, problems = ready(loaded, out, address)
    if address is None:
        problems += placed(loaded.plan, None)[1]
    if problems:
        raise BadInput(problems)
    permission = loaded.permission
    return _carry_out(loaded.plan, folder, address, permission, yes, strict, again=False)


def go_on(
    folder: str,
    changes: Sequence[str],
    placement: str | None,
    address: str | None,
    yes: bool,
    strict: bool,
    allowed: Sequence[str],
) -> int:
    """Go on with a run, whose plan does not say what code it may run."""
    overrides = [
        Override.parse(change) if isinstance(change, str) else change
        for change in changed(changes, placement)
    ]
    root = root_of(overrides)
    permission = granted(allowed, root=root)
    with reading(folder):
        before = plan_of(folder, permission, root)
    plan = moved(before, overrides)
    if problems := without_ray_at(address, plan):
        raise BadInput(problems)
    if (overrides or address) and (status := finished(folder)) is not None:
        return status
    return _carry_out(plan, folder, address, permission, yes, strict, again=True)


def _carry_out(
    plan: Plan,
    folder: str,
    address: str | None,
    permission: Permission,
    yes: bool,
    strict: bool,
    again: bool,
) -> int:
    errors = terminal(stderr=True)

    def cut_off(error: KeyboardInterrupt) -> None:
        said(error, how_to_go_on(folder))
        abandon()  # as far as there is time: what is left is seen to

    def lost(cause: str) -> None:
        leave_after(lambda: _stopped(folder, f"stopped: {cause}; "), Status.STOPPED)

    try:
        with at_the_limit(cut_off), when_lost(lost), shown_on(errors) as progress:
            progress.note(f"run folder: {folder}")
            outcome = launch(
                plan,
                folder,
                progress=progress,
                address=address,
                resume=again,
                decide=decide_on(progress, errors, yes, strict),
                permission=permission,
                checked=not again,
            )
    except BadInput:
        raise
    except KeyboardInterrupt as error:
        return said(error, how_to_go_on(folder))
    except StorageFailed as error:
        return _stopped(folder, f"stopped: {_cause(error)}; ", GONE)
    except MemoryError as error:
        return _stopped(folder, f"stopped: {OUT_OF_MEMORY} ({in_short(str(error))}); ")
    except (OSError, CommonCause, *RayEngine.losses) as error:
        return _stopped(folder, f"stopped: {_cause(error)}; ")
    except Exception:
        # Whatever else a model's or a library's code raises: what is finished is on disk, and the
        # person is told how to go on from there.
        show_trace()
        return _stopped(folder, "stopped; its cause mended, ")
    print_report(Figures(Reading(folder)), terminal())
    if not outcome.units_failed:
        return Status.DONE
    for line in failed_units(outcome, folder):
        say(line)
    return Status.INCOMPLETE


def _cause(error: Exception) -> str:
    """Return an error in a line, as it was in the process that it is from."""
    return in_short(str(getattr(error, "cause", error)))


def _stopped(folder: str, what: str, gone: str = "") -> Status:
    """Say what stopped a run, and how it goes on; or what is to be said of one that is gone."""
    there = begun(folder)
    say(f"{what}{gone.format(quote(folder)) if gone and not there else how_to_go_on(folder)}")
    return Status.STOPPED if there or gone else Status.REFUSED
