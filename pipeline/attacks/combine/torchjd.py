"""Any aggregator of the TorchJD library, by its name (specification 4)."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gauntlet.pipeline.attacks.ask import Ask
from gauntlet.pipeline.attacks.combine.gram import Units, gram, weighted_sum
from gauntlet.pipeline.attacks.combine.rule import Direction, Rule
from gauntlet.pipeline.attacks.part import register
from gauntlet.pipeline.attacks.step import Step
from gauntlet.pipeline.norms import Normaliser
from gauntlet.pipeline.problems import suggest

# Some aggregators draw from torch's global generator, which other threads of a run share.
_generator = threading.Lock()


def aggregator_names() -> list[str]:
    """Return the names of the installed TorchJD's aggregators."""
    from torchjd import aggregation

    return sorted(
        name
        for name, value in vars(aggregation).items()
        if inspect.isclass(value)
        and issubclass(value, aggregation.Aggregator)
        and not inspect.isabstract(value)
        and not name.endswith("Aggregator")
    )


@register
class TorchJd(Rule):
    """``torchjd/NAME``: one call per example on the Gram matrix of its gradients.

    TorchJD descends; its weights depend on the Gram matrix only, so A(-G) = -A(G) and ascent
    gradients give an ascent direction. The matrix is one of float64, and the trace has the weights;
    the few aggregators that look at single entries get the k x N matrix, and their weights are
    unknown. Rows are made unit first unless the method balances scales itself. A randomised
    aggregator draws from a generator keyed by the example and step, and the global one is left as
    it was; a stateful one is reset before every call.
    """

    token = "torchjd"
    paper = "Quinton 2024 (TorchJD)"
    cost = "k + one aggregation per example"
    needs = "some aggregators: the extra torchjd-solvers"
    normalise: ClassVar[Normaliser] = "l2rms"
    aggregator: str
    """Name of the aggregator, such as `UPGrad`; `torchjd/upgrad` sets it."""
    unit: bool = True
    """Whether rows are divided by their l2 norm first."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the aggregator."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("aggregator"), str):
            return data
        known = {name.lower(): name for name in aggregator_names()}
        wanted = data["aggregator"].lower().replace("-", "")
        if wanted not in known:
            raise ValueError(suggest(data["aggregator"], sorted(known.values()), "aggregator"))
        return {**data, "aggregator": known[wanted]}

    @model_validator(mode="after")
    def _buildable(self) -> TorchJd:
        try:
            _ = self._built
        except (TypeError, ValueError, ImportError) as error:
            hint = "; `pip install 'gauntlet[torchjd-solvers]'` brings the solvers"
            raise ValueError(
                f"TorchJD's {self.aggregator} cannot be built: {error}"
                + (hint if isinstance(error, ImportError) else "")
            ) from error
        return self

    @cached_property
    def _built(self) -> Any:
        from torchjd import aggregation

        return getattr(aggregation, self.aggregator)(**self.arguments)

    def direction(self, points: Tensor, ask: Ask, step: Step) -> Direction:
        """Return the aggregated direction of each example."""
        answers = ask(points)
        rows = [gradient.flatten(1) for gradient in answers.gradients]
        units = Units.of(rows) if self.unit else None
        weighting = getattr(self._built, "gramian_weighting", None)
        if weighting is None:
            own = units.rows if units else lambda example: torch.stack([r[example] for r in rows])
            combined = self._each(ask, points.device, lambda example: self._built(own(example)))
            weights = points.new_full((len(points), ask.models), torch.nan)
        else:
            matrix = units.matrix if units else gram(rows)
            weights = self._each(ask, points.device, lambda example: weighting(matrix[example]))
            combined = units.sum(weights) if units else weighted_sum(weights, rows)
        direction = combined.to(points.dtype).reshape(points.shape)
        return Direction(direction, answers.values.T, weights.to(points.dtype))

    def _each(self, ask: Ask, device: torch.device, aggregate: Callable[[int], Tensor]) -> Tensor:
        """Return what ``aggregate`` gives for each example, which finds the aggregator fresh."""
        found = []
        with _generator, torch.random.fork_rng([device] if device.type == "cuda" else []):
            seeds = ask.draws("torchjd").integers("seed", 0, 2**31).tolist()
            for example, seed in enumerate(seeds):
                torch.manual_seed(seed)
                if hasattr(self._built, "reset"):
                    self._built.reset()
                found.append(aggregate(example))
        return torch.stack(found)
