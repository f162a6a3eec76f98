"""What a run needs of the machinery that holds the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gauntlet.pipeline.attacks.loop import Attacked
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.results.manifest import ModelCard
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.steps import JudgedSteps, StepVerdicts

T = TypeVar("T")


@dataclass(frozen=True)
class AttackResult(Attacked):
    """The result of one attack on one batch, with what the targets said on the way.

    Attributes:
        steps: verdicts on the iterates that were judged, in order; not on the result.
    """

    steps: tuple[StepVerdicts, ...] = ()


class Engine(Protocol):
    """Holds surrogates and targets, somewhere; safe to call from ``lanes`` threads at a time."""

    @property
    def lanes(self) -> int:
        """How many units of work should be in flight."""

    @property
    def description(self) -> str:
        """What was chosen, and why."""

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name: ``surrogate/NAME`` and ``target/NAME``."""

    @property
    def losses(self) -> tuple[type[Exception], ...]:
        """Errors by which a call ends whose worker was lost, whatever it was asked."""

    def attack(
        self, attack: Attack, batch: Batch, judged: JudgedSteps | None = None
    ) -> AttackResult:
        """Attack a batch; tensors of the result are on the CPU.

        Args:
            attack: what to do.
            batch: the examples.
            judged: iterates that the targets judge while the attack goes on. At most
                `gauntlet.pipeline.run.steps.IN_FLIGHT` of them exist at a time.
        """

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have models answer a request where they are, as far as possible at the same time.

        Args:
            models: names of targets and surrogates.
            request: what to ask; images that it has to read are read once, beside the models.

        Returns:
            The answers by name, in the order of ``models``.
        """

    def close(self) -> None:
        """Release the models."""
