"""Judging the iterates of an attack while it goes on (specification 5.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.evaluation.distances import l2_distance, linf_distance
from gauntlet.pipeline.evaluation.verdict import Judgement
from gauntlet.pipeline.run.criterion import Criterion
from gauntlet.pipeline.run.showing import Showing

IN_FLIGHT = 2
"""Steps of one attack that the targets may be behind: bounds the images that wait for them."""

Outputs = Mapping[str, np.ndarray]
Show = Callable[[Showing], Callable[[], Outputs]]
"""Starts to show images to all targets; what it returns waits for their outputs, by name."""


@dataclass(frozen=True)
class JudgedSteps:
    """Which iterates of an attack are judged, and by whom.

    Attributes:
        steps: updates 1..T-1 after which the iterate is judged; the last one is not among them.
        criterion: what success on the batch is.
        quantize: round the iterates to 8 bits inside the ball, as the result is.
    """

    steps: tuple[int, ...]
    criterion: Criterion
    quantize: bool


@dataclass(frozen=True)
class StepVerdicts:
    """What the targets say of the iterate after one update.

    Attributes:
        step: the update, 1..T.
        linf: largest change of a pixel, 8-bit steps, (B,).
        l2: root mean square change, 8-bit steps, (B,).
        judgements: verdicts on all B examples by target; NaN scores where outputs are not finite.
    """

    step: int
    linf: np.ndarray
    l2: np.ndarray
    judgements: Mapping[str, Judgement]

    def rows(self, rows: np.ndarray) -> StepVerdicts:
        """Return the verdicts on some of the examples, int (R,)."""
        return StepVerdicts(
            self.step,
            self.linf[rows],
            self.l2[rows],
            {name: found.rows(rows) for name, found in self.judgements.items()},
        )


class StepJudge:
    """Shows chosen iterates to the targets as they come, a bounded number of them at a time.

    Called by the loop after every update. An iterate is dropped once its outputs are in; when
    `IN_FLIGHT` of them wait for the targets, the attack waits, too.
    """

    def __init__(self, judged: JudgedSteps, attack: Attack, batch: Batch, show: Show) -> None:
        self._judged, self._show = judged, show
        self._ball = attack.method(batch.goal, batch.images[0].numel()).ball
        self._clean = batch.images
        self._waiting: deque[tuple[int, np.ndarray, np.ndarray, Callable[[], Outputs]]] = deque()
        self._verdicts: list[StepVerdicts] = []

    def __call__(self, step: int, points: Tensor) -> None:
        """Take the iterate (B, 3, H, W) after update ``step``."""
        judged = self._judged
        if step not in judged.steps:
            return
        while len(self._waiting) >= IN_FLIGHT:
            self._settle()
        images = self._ball.quantize(points, self._clean) if judged.quantize else points
        linf, l2 = linf_distance(images, self._clean), l2_distance(images, self._clean)
        showing = judged.criterion.showing(images, judged.quantize)
        self._waiting.append((step, linf, l2, self._show(showing)))

    def verdicts(self) -> tuple[StepVerdicts, ...]:
        """Wait for the last outputs; return all verdicts by step."""
        while self._waiting:
            self._settle()
        return tuple(self._verdicts)

    def _settle(self) -> None:
        step, linf, l2, outputs = self._waiting.popleft()
        self._verdicts.append(StepVerdicts(step, linf, l2, self._judged.criterion.judge(outputs())))
