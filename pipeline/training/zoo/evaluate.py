"""What a finished network is worth: verification, and robustness in white box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Goal, Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.evaluation.verdict import cosine, judge
from gauntlet.pipeline.evaluation.verification import Threshold, protocol
from gauntlet.pipeline.library.attacking import attack
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.training.zoo.pool import Pool

IDENTITIES, SHOTS = 1000, 6
"""People and pictures of the evaluation; none of the people is trained on."""
FOLDS = 10
SAME = 300
"""Same-person pairs of a fold, and as many different-person pairs, as in LFW's protocol."""
ATTACKED = 256
"""Different-person pairs that are attacked."""
SEED = 0

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Report:
    """What is found of one network.

    Attributes:
        accuracy: mean over the ten folds of the LFW protocol, on unseen identities.
        standard_error: of that mean.
        threshold: cosine from which a pair is taken for one person.
        clean_rate: share of the attacked pairs that exceed the threshold without an attack.
        white_box: share that does after PGD-20 on the network itself: impersonation, l_inf 8/255,
            20 steps of 1/255 from a random start, rounded to 8 bits.
        fingerprint: of the weights.
    """

    accuracy: float
    standard_error: float
    threshold: float
    clean_rate: float
    white_box: float
    fingerprint: str


@dataclass(frozen=True)
class Pairs:
    """P pairs of pictures of a pool.

    Attributes:
        first: positions of identity and shot, int64 (P, 2).
        second: the same of the other picture.
        fold: fold of each pair, int64 (P,).
    """

    first: Tensor
    second: Tensor
    fold: Tensor

    @property
    def same(self) -> Tensor:
        """Whether a pair shows one person, bool (P,)."""
        return self.first[:, 0] == self.second[:, 0]


def evaluate(
    network: nn.Module,
    pool: Pool,
    *,
    folds: int = FOLDS,
    same: int = SAME,
    attacked: int = ATTACKED,
) -> Report:
    """Return what a network is worth on a pool of people that it was not trained on.

    Args:
        network: on normalised images; frozen by this.
        pool: at least two people a fold.
        folds: folds of the protocol; people are divided among them, so no two folds share one.
        same: same-person pairs of a fold, and different-person pairs.
        attacked: different-person pairs that PGD-20 attacks.
    """
    half = (0.5, 0.5, 0.5)
    size = (pool.faces.shape[-2], pool.faces.shape[-1])
    model = Model(
        network.eval(),
        Description(
            Task.VERIFICATION, Preprocessing(input_size=size, mean=half, std=half), name="zoo"
        ),
    )
    found = verify(model, pool, draw_pairs(pool, folds, same))
    clean, white_box = impersonated(model, pool, attacked, found.threshold)
    return Report(
        accuracy=found.accuracy_mean,
        standard_error=found.accuracy_standard_error,
        threshold=found.threshold,
        clean_rate=clean,
        white_box=white_box,
        fingerprint=model.weights_fingerprint,
    )


def draw_pairs(pool: Pool, folds: int, same: int) -> Pairs:
    """Return ``same`` same-person and ``same`` different-person pairs of each fold.

    Raises:
        ValueError: when there are fewer than two people a fold, or two pictures of each.
    """
    people = pool.identities // folds
    if people < 2 or pool.shots < 2:
        raise ValueError(
            f"{folds} folds need {2 * folds} people with two pictures each, "
            f"got {pool.identities} with {pool.shots}"
        )
    rows = [f"{fold}/{row}" for fold in range(folds) for row in range(2 * same)]
    draws = Draws.keyed(SEED, rows, attack="zoo/pairs")
    fold = torch.arange(folds).repeat_interleave(2 * same)
    genuine = (torch.arange(len(rows)) % (2 * same)) < same
    one = draws.integers("person", 0, people)
    # The other person and the other picture: any but the first.
    other = (one + draws.integers("other person", 1, people)) % people
    shot = draws.integers("shot", 0, pool.shots)
    another = (shot + draws.integers("other shot", 1, pool.shots)) % pool.shots
    start = fold * people
    first = torch.stack((start + one, shot), 1)
    second = torch.stack((start + torch.where(genuine, one, other), another), 1)
    return Pairs(first, second, fold)


@torch.no_grad()
def verify(model: Model, pool: Pool, pairs: Pairs) -> Threshold:
    """Return what the LFW protocol finds on the pairs."""
    parts = torch.split(pool.faces.flatten(0, 1), 256)
    embeddings = torch.cat([model(part.float() / 255) for part in parts])
    table = embeddings.reshape(pool.identities, pool.shots, -1).double().numpy()
    first, second = pairs.first.numpy(), pairs.second.numpy()
    scores = cosine(table[first[:, 0], first[:, 1]], table[second[:, 0], second[:, 1]])
    return protocol(scores, pairs.same.numpy(), pairs.fold.numpy())


def impersonated(model: Model, pool: Pool, count: int, threshold: float) -> tuple[float, float]:
    """Return the share of different-person pairs above the threshold before and after PGD-20."""
    names = [str(row) for row in range(count)]
    draws = Draws.keyed(SEED, names, attack="zoo/white-box")
    one = draws.integers("person", 0, pool.identities)
    other = (one + draws.integers("other person", 1, pool.identities)) % pool.identities
    clean, wanted = (
        pool.pictures(person, draws.integers(purpose, 0, pool.shots)).float() / 255
        for person, purpose in ((one, "shot"), (other, "other shot"))
    )
    recipe = Attack(name="pgd-20", base="pgd", epsilon=8 / 255, steps=20, step_size=1 / 255)
    hard = attack(
        [model], clean, wanted, recipe, goal=Goal.IMPERSONATION, ids=names, seed=SEED,
        rows_per_pass=128,
    )  # fmt: skip
    with torch.no_grad():
        embeddings = [model(images).numpy() for images in (clean, hard, wanted)]
    rates = [
        float(
            judge(
                answers, Goal.IMPERSONATION, references=embeddings[2], threshold=threshold
            ).success.mean()
        )
        for answers in embeddings[:2]
    ]
    return rates[0], rates[1]
