"""How far a linear map of pixels gets on rendered faces, and how fast they are rendered.

Fits linear discriminants to the pixels of some people and verifies others by the cosine between
projected pictures, by the protocol of pairs in ten folds. Faces on which this succeeds would be no
test of recognition.

    python -m bench.linear_pixels
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from gauntlet.pipeline.data.rendered import TEST_IDENTITIES, TRAIN_IDENTITIES, render
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.evaluation.verification import Threshold, protocol

FOLDS = 10


def pictures(first: int, people: int, shots: int, size: int) -> Tensor:
    """Return pictures of successive people as rows of pixels in [0, 1], (people * shots, D)."""
    numbers = torch.arange(first, first + people).repeat_interleave(shots)
    return render(numbers, torch.arange(shots).repeat(people), size=size).flatten(1).float() / 255


def discriminants(rows: Tensor, people: int, kept: int, wanted: int) -> tuple[Tensor, Tensor]:
    """Return the mean picture, (D,), and a projection, (D, wanted).

    Principal components first, as many as ``kept``, then whitening within people and the principal
    components between them (Belhumeur 1997).
    """
    mean = rows.mean(0)
    centred = rows - mean
    basis = Draws.keyed(0, [str(pixel) for pixel in range(rows.shape[1])]).normal("start", (kept,))
    for _ in range(4):  # orthogonal iteration
        basis = torch.linalg.qr(centred.T @ (centred @ basis)).Q
    low = (centred @ basis).reshape(people, -1, kept)
    centres = low.mean(1)
    inner = (low - centres[:, None]).flatten(0, 1)
    scatter, axes = torch.linalg.eigh(inner.T @ inner / len(inner))
    whiten = axes / (scatter + 1e-3 * scatter.mean()).sqrt()
    between = (centres - centres.mean(0)) @ whiten
    _, turned = torch.linalg.eigh(between.T @ between)
    return mean, basis @ whiten @ turned[:, -wanted:]


def verify(embedded: Tensor, people: int) -> Threshold:
    """Return the threshold protocol's outcome on as many pairs of one person as of two.

    Args:
        embedded: embeddings of ``shots`` pictures of each person, (people * shots, K).
        people: number of people, a multiple of 20; they meet within a fold only.
    """
    faces = torch.nn.functional.normalize(embedded, dim=1).reshape(people, -1, embedded.shape[1])
    fold = torch.arange(people) * FOLDS // people
    block = people // FOLDS
    scores, same, folds = [], [], []
    for shot in range(0, faces.shape[1] - 1, 2):
        place = torch.arange(people) % block
        # An odd step around an even circle never comes back to the same person.
        other = fold * block + (place + 1 + shot) % block
        scores += [(faces[:, shot] * faces[:, shot + 1]).sum(1)]
        scores += [(faces[:, shot] * faces[other, shot + 1]).sum(1)]
        same += [torch.ones(people, dtype=torch.bool), torch.zeros(people, dtype=torch.bool)]
        folds += [fold, fold]
    columns = (torch.cat(column).numpy() for column in (scores, same, folds))
    return protocol(*columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=500, help="people that the map is fitted to")
    parser.add_argument("--shots", type=int, default=20, help="pictures of each")
    parser.add_argument("--unseen", type=int, default=300, help="people that are verified")
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--components", type=int, default=400)
    parser.add_argument("--dimensions", type=int, default=150)
    given = parser.parse_args()
    if given.unseen % 20:
        parser.error("--unseen must be a multiple of 20")
    torch.set_num_threads(1)
    rows = pictures(TRAIN_IDENTITIES, given.people, given.shots, given.size)
    mean, projection = discriminants(rows, given.people, given.components, given.dimensions)
    unseen = pictures(TEST_IDENTITIES, given.unseen, 20, given.size)
    for name, embedded in {
        "linear discriminants": (unseen - mean) @ projection,
        "raw pixels": unseen - mean,
    }.items():
        found = verify(embedded, given.unseen)
        print(
            f"{name}: {100 * found.accuracy_mean:.1f} +- "
            f"{100 * found.accuracy_standard_error:.1f} % on people never seen"
        )
    start = time.perf_counter()
    pictures(TRAIN_IDENTITIES, 16, 32, 64)
    print(f"{512 / (time.perf_counter() - start):.0f} images/s at 64 px on one core")


if __name__ == "__main__":
    main()
