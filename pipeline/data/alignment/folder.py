"""Aligning a folder of photographs, over processes: what is done stays done."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from PIL import Image

from gauntlet.pipeline.data.account import first_names
from gauntlet.pipeline.data.alignment.finder import FaceFinder, in_one_thread
from gauntlet.pipeline.data.alignment.template import similarity, template
from gauntlet.pipeline.data.alignment.warp import warped
from gauntlet.pipeline.data.decoding import Fit, Undecodable, decode, size_of
from gauntlet.pipeline.data.tree import read_tree
from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress

MISSED = "not-aligned.csv"
"""Name of the list of images without an aligned copy: ``file,reason``."""
NO_FACE = "no face found"
_ASIDE = ".aligning"
_REASONS = 3
"""Reasons that are told, the commonest; the list has all."""
_AHEAD = 4
"""Images handed out beforehand for each process."""


@dataclass(frozen=True)
class Aligned:
    """What became of a folder.

    Attributes:
        done: images aligned now.
        before: images that had been aligned before.
        missed: why each other image has no aligned copy, by its path below the folder.
    """

    done: int
    before: int
    missed: dict[str, str]

    def __str__(self) -> str:
        text = f"{self.done:,} {'face' if self.done == 1 else 'faces'} aligned"
        if self.before:
            text += f", {self.before:,} had been before"
        reasons = Counter(self.missed.values()).most_common(_REASONS)
        return "; ".join([text, *(f"{count:,} not ({reason})" for reason, count in reasons)])


def align_folder(
    root: Path, out: Path, size: tuple[int, int], workers: int, progress: Progress
) -> Aligned:
    """Align the face in every image below a folder, each to a PNG at the same place below another.

    An image whose copy is there is passed over, so that an interrupted call is taken up by the
    next one; no copy is ever there in part. Those without a copy are listed in `MISSED`, and tried
    again by the next call. A process holds one image at a time.

    Args:
        root: the photographs; links are followed, hidden files passed over.
        out: takes the copies.
        size: their height and width, one of `SIZES`.
        workers: number of processes; 1 is this one.
        progress: told of the images.

    Raises:
        BadInput: when there are no images, when two would have one copy, when one folder lies in
            the other, or when ``out`` cannot be written or holds copies of another size.
    """
    copies = _copies(root, out)
    _prepare(out)
    waiting = [file for file, copy in copies.items() if not _is_done(copy, size)]
    progress.stage("faces", len(copies), "images")
    progress.advance("faces", len(copies) - len(waiting))
    missed: dict[str, str] = {}
    tasks = [_Task(root / file, copies[file], size) for file in waiting]
    try:
        with closing(_carried_out(tasks, workers)) as results:
            for task, reason in results:
                progress.advance("faces", 1)
                if reason is not None:
                    missed[task.file.relative_to(root).as_posix()] = reason
        missed = dict(sorted(missed.items()))
        _list(out / MISSED, missed)
    except OSError as error:
        raise BadInput(Problem("OUT", f"{out}: {error.strerror or error}")) from None
    return Aligned(len(waiting) - len(missed), len(copies) - len(waiting), missed)


def _copies(root: Path, out: Path) -> dict[str, Path]:
    """Return the file of the aligned copy of every image, by the image's path below the folder."""
    if not root.is_dir():
        raise BadInput(Problem("DIR", f"no such folder: {root}"))
    inside, around = out.resolve(), root.resolve()
    if inside.is_relative_to(around) or around.is_relative_to(inside):
        raise BadInput(Problem("OUT", f"{out} and {root} lie in each other: choose another folder"))
    files = read_tree(root).images
    if not files:
        raise BadInput(Problem("DIR", f"no image files below {root}"))
    copies = {file: out / PurePosixPath(file).with_suffix(".png") for file in files}
    shared = [copy for copy, count in Counter(copies.values()).items() if count > 1]
    if shared:
        both = [file for file in files if copies[file] == shared[0]]
        what = f"{first_names(both)} would both be {shared[0]}: rename one"
        raise BadInput(Problem("DIR", f"{what} ({len(shared):,} such names)"))
    return copies


def _prepare(out: Path) -> None:
    """Make the folder; what a process that was killed has left in it is removed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for remains in out.rglob(f".*{_ASIDE}"):
            remains.unlink()
    except OSError as error:
        raise BadInput(Problem("OUT", f"{out}: {error.strerror or error}")) from None


def _is_done(copy: Path, size: tuple[int, int]) -> bool:
    if not copy.is_file():
        return False
    if (found := size_of(copy)) == size:
        return True
    there = "no image" if found is None else f"{found[0]} x {found[1]}"
    what = f"{copy} is {there}, and {size[0]} x {size[1]} is wanted: choose another folder"
    raise BadInput(Problem("OUT", what))


def _list(path: Path, missed: dict[str, str]) -> None:
    """Write the list of what has no aligned copy; none where nothing is missing."""
    if not missed:
        path.unlink(missing_ok=True)
        return
    aside = path.with_name(f".{path.name}{_ASIDE}")
    with aside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("file", "reason"), *missed.items()])
    aside.replace(path)


# -- the work, in processes ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    """One image: where it is, where its copy goes, and how large that is."""

    file: Path
    copy: Path
    size: tuple[int, int]


def _align(task: _Task) -> str | None:
    """Align one image; return why there is no copy, or None."""
    try:
        image = Image.fromarray(decode(task.file, Fit(), upright=True))
    except Undecodable as error:
        return str(error)
    face = _finder().find(image)
    if face is None:
        return NO_FACE
    transform = similarity(face.points, template(task.size))
    aligned = warped(image, transform, task.size)
    task.copy.parent.mkdir(parents=True, exist_ok=True)
    aside = task.copy.with_name(f".{task.copy.name}.{os.getpid()}{_ASIDE}")
    try:
        aligned.save(aside, format="PNG")
        aside.replace(task.copy)
    finally:
        aside.unlink(missing_ok=True)
    return None


@cache
def _finder() -> FaceFinder:
    return FaceFinder()


def _carried_out(tasks: Sequence[_Task], workers: int) -> Generator[tuple[_Task, str | None]]:
    """Yield each image with why it has no copy, in the order in which they are done."""
    if not tasks:
        return
    _finder()  # what is wrong with it is wrong in every process
    if workers == 1:
        yield from ((task, _align(task)) for task in tasks)
        return
    # A forked process would inherit torch's threads without the threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_begin)
    running: dict[Future[str | None], _Task] = {}
    try:
        for task in tasks:
            running[pool.submit(_align, task)] = task
            if len(running) >= _AHEAD * workers:
                yield from _finished(running)
        while running:
            yield from _finished(running)
    except BrokenProcessPool:
        what = "a process was killed, for want of memory perhaps: take fewer; what is done is kept"
        raise BadInput(Problem("--workers", what)) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(running: dict[Future[str | None], _Task]) -> Iterator[tuple[_Task, str | None]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _begin() -> None:
    """Prepare a process: Ctrl-C is its parent's to hear, without which it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    in_one_thread()
    parent = multiprocessing.parent_process()
    assert parent is not None, "a process of a pool has a parent"

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
