"""A file of rendered faces that all trainings share: rendering again for each would be waste."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gauntlet.pipeline.problems import BadInput, Problem
from gauntlet.pipeline.progress import Progress
from gauntlet.pipeline.training.zoo.interrupted import Interrupted

SIZE = 48
TEST = 1_000_000
"""First identity that is never trained on."""
_CHUNK = 64
"""Identities rendered, and written, at a time."""

Render = Callable[[Tensor, Tensor], Tensor]
"""Identities and shots, int64 (B,) each, to images, uint8 (B, 3, 48, 48)."""


@dataclass(frozen=True)
class Pool:
    """Faces of a run of identities, ``shots`` pictures of each.

    Attributes:
        faces: uint8 (N, shots, 3, 48, 48), mapped from the file.
        first: number of the first identity.
    """

    faces: Tensor
    first: int

    @property
    def identities(self) -> int:
        """Number of identities N."""
        return len(self.faces)

    @property
    def shots(self) -> int:
        """Pictures of each identity."""
        return self.faces.shape[1]

    def pictures(self, identities: Tensor, shots: Tensor) -> Tensor:
        """Return pictures, uint8 (B, 3, 48, 48), of positions int64 (B,) and shots int64 (B,)."""
        flat = self.faces.flatten(0, 1)
        return flat[identities * self.shots + shots]


def rendered(identities: Tensor, shots: Tensor) -> Tensor:
    """Render faces with the seed of the zoo, uint8 (B, 3, 48, 48)."""
    from gauntlet.pipeline.data.rendered import render

    return render(identities, shots, size=SIZE, seed=0)


def open_pool(
    folder: Path,
    *,
    first: int,
    identities: int,
    shots: int,
    progress: Progress,
    render: Render = rendered,
    stopped: Callable[[], bool] = lambda: False,
) -> Pool:
    """Return the pool of identities first .. first + identities - 1, rendering what is missing.

    An interrupted rendering goes on where it stopped. A larger pool of the same first identity and
    number of shots serves a smaller one.

    Args:
        folder: where the files are.
        first: first identity.
        identities: how many.
        shots: pictures of each; numbers 0 .. shots - 1.
        progress: told of the rendering.
        render: the renderer.
        stopped: asked after every 64 identities whether to stop.

    Raises:
        Interrupted: when told to stop before the last identity.
        BadInput: when the folder cannot be written, or a file in it is of another renderer.
    """
    path = folder / f"faces-{SIZE}-{first}x{shots}.u8"
    person = shots * 3 * SIZE * SIZE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = path.stat().st_size // person if path.exists() else 0
        if done:
            _same_renderer(path, first, shots, render)
        if done < identities:
            stage = f"faces of people {first + done:,} to {first + identities - 1:,}"
            progress.stage(stage, (identities - done) * shots, "images")
            with path.open("ab") as file:
                # Half a person, written when the power went, is rendered again.
                file.truncate(done * person)
                while done < identities:
                    count = min(_CHUNK, identities - done)
                    numbers = torch.arange(first + done, first + done + count)
                    images = render(
                        numbers.repeat_interleave(shots), torch.arange(shots).repeat(count)
                    )
                    file.write(images.contiguous().numpy().tobytes())
                    file.flush()
                    done += count
                    progress.advance(stage, count * shots)
                    if done < identities and stopped():
                        what = f"faces: stopped after {done:,} of {identities:,} people"
                        raise Interrupted(f"{what}; the same command goes on")
                os.fsync(file.fileno())
    except OSError as error:
        what = f"the faces cannot be kept here: {error.strerror or error}; name another --cache"
        raise BadInput(Problem(str(folder), what)) from None
    faces = torch.from_file(str(path), shared=False, size=identities * person, dtype=torch.uint8)
    return Pool(faces.reshape(identities, shots, 3, SIZE, SIZE), first)


def _same_renderer(path: Path, first: int, shots: int, render: Render) -> None:
    count = min(shots, 4)
    numbers = torch.full((count,), first)
    expected = render(numbers, torch.arange(count)).contiguous()
    with path.open("rb") as file:
        found = file.read(expected.numel())
    if found != expected.numpy().tobytes():
        what = "rendered by another version; remove the file, or name another --cache"
        raise BadInput(Problem(str(path), what))
