"""What a run needs of the machinery that holds the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor

from gauntlet.pipeline.attacks.loop import Attacked
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.data.examples import Examples
from gauntlet.pipeline.evaluation.gallery import Gallery
from gauntlet.pipeline.results.manifest import ModelCard, ThresholdRecord
from gauntlet.pipeline.results.storage import Storage
from gauntlet.pipeline.run.order import CleanAnswers, News, Order
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.steps import JudgedSteps, StepVerdicts

T = TypeVar("T")


@dataclass(frozen=True)
class AttackResult(Attacked):
    """The result of one attack on one batch, with what the targets said on the way.

    Attributes:
        steps: verdicts on the iterates that were judged, in order; not on the result.
        excess: of a foreign attack, by how much each example had left its ball, in [0, 1] units of
            the ball's norm, float64 (B,); None of ours.
    """

    steps: tuple[StepVerdicts, ...] = ()
    excess: Tensor | None = None


class Models(Protocol):
    """The models of a plan, as somebody reaches them; safe to call from several threads."""

    @property
    def cards(self) -> Mapping[str, ModelCard]:
        """The models by role and name: ``surrogate/NAME`` and ``target/NAME``."""

    def ask(self, models: Sequence[str], request: Request[T]) -> dict[str, T]:
        """Have models answer a request where they are, as far as possible at the same time.

        Args:
            models: names of targets and surrogates.
            request: what to ask; images that it has to read are read once, beside the models.

        Returns:
            The answers by name, in the order of ``models``.
        """


class Attackable(Models, Protocol):
    """Models with the surrogates' gradients in reach: what carries units out."""

    def attack(
        self,
        attack: Attack,
        batch: Batch,
        judged: JudgedSteps | None = None,
        rows_per_pass: int | None = None,
    ) -> AttackResult:
        """Attack a batch; tensors of the result are on the CPU.

        Args:
            attack: what to do.
            batch: the examples.
            judged: iterates that the targets judge while the attack goes on. At most
                `gauntlet.pipeline.run.steps.IN_FLIGHT` of them exist at a time.
            rows_per_pass: most image views that a surrogate takes at a time, where there was no
                memory for those of the plan.
        """


class Carries(Protocol):
    """A carrier, wherever it is: carries batches from ids to rows.

    Attributes:
        lanes: how many orders it should have at a time.
    """

    lanes: int

    def clean(self, order: Order, models: tuple[str, ...]) -> CleanAnswers:
        """Return what some models say of an order's clean images.

        Raises:
            Exception: one of `Engine.losses`, when the carrier was lost.
        """

    def carry(self, order: Order) -> None:
        """Carry an order out; what comes of it is in the news.

        Raises:
            Exception: one of `Engine.losses`, when the carrier was lost with what it buffered.
        """

    def news(self, life: str, heard: int) -> News:
        """Return what happened after so many items of a life were heard; write what is due.

        Raises:
            OSError: when the storage fails.
            Exception: as `carry`.
        """

    def settle(self) -> None:
        """Write all rows that wait, as parts.

        Raises:
            OSError: when the storage fails.
            Exception: as `carry`.
        """

    def renew(self) -> bool:
        """Start the carrier's processes anew; return whether that can be done."""


class Engine(Models, Protocol):
    """Holds surrogates and targets, somewhere, and those who carry units out with them."""

    @property
    def description(self) -> str:
        """What was chosen, and why."""

    @property
    def losses(self) -> tuple[type[Exception], ...]:
        """Errors by which a call ends whose worker was lost, whatever it was asked."""

    def carriers(
        self,
        examples: Examples,
        thresholds: Mapping[str, ThresholdRecord],
        storage: Storage,
        gallery: Gallery | None = None,
    ) -> Sequence[Carries]:
        """Return who carries units out.

        Args:
            examples: all that the data source gives.
            thresholds: of verification models.
            storage: takes the parts.
            gallery: what decides on success in place of thresholds, if there is one.
        """

    def another(self) -> Carries | None:
        """Return one more carrier for the same models; None where there is no room for one."""

    def close(self) -> None:
        """Release the models."""
