"""One measurement of a batch of perturbations, as a run makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.interactions.cells import Grid
from gauntlet.pipeline.interactions.curvature import curvature, self_terms
from gauntlet.pipeline.interactions.estimate import Estimate
from gauntlet.pipeline.interactions.game import PerturbationGame
from gauntlet.pipeline.interactions.interaction_spec import InteractionSpec
from gauntlet.pipeline.interactions.mean_interaction import (
    mean_interaction,
    sampled_mean_interaction,
)
from gauntlet.pipeline.interactions.neighbours import sampled_neighbour_map
from gauntlet.pipeline.interactions.orders import sampled_order_interactions
from gauntlet.pipeline.interactions.utilities import UtilityName
from gauntlet.pipeline.norms import divide, l2rms


@dataclass(frozen=True)
class Measured:
    """What was measured of B perturbations; all tensors on the CPU.

    Attributes:
        mean: E_{a != b}[I_ab] of each perturbation, float64 (B,). Times n (n - 1): the sum of Eq.
            12.
        standard_error: sampling error of ``mean``, float64 (B,); zero where it is exact.
        total: v(Omega), the utility of the whole perturbation, float64 (B,).
        empty: v(empty), the utility of the clean image, float64 (B,): zero for ``loss`` and
            ``similarity``.
        closed_form: delta^T H delta / (n (n - 1)), the self terms removed where asked, float64
            (B,); None where not asked.
        orders: E_{a != b}[I_ab^(s)] of the orders asked for, float64 (B, orders).
        orders_standard_error: their sampling errors, float64 (B, orders).
        neighbours: mean interaction of each cell with those around it, float64 (B, n), row by row;
            None where not asked.
        neighbours_standard_error: its sampling error, float64 (B, n), or None.
        finite: bool (B,), whether every value behind an example's numbers was finite; where not,
            the numbers that it touches are NaN.
        cells: number n of units.
        utility: which utility was used.
        evaluations: images put through the model, in all; a directional derivative counts as one.
    """

    mean: Tensor
    standard_error: Tensor
    total: Tensor
    empty: Tensor
    closed_form: Tensor | None
    orders: Tensor
    orders_standard_error: Tensor
    neighbours: Tensor | None
    neighbours_standard_error: Tensor | None
    finite: Tensor
    cells: int
    utility: UtilityName
    evaluations: int


def measure(
    model: Callable[[Tensor], Tensor],
    batch: Batch,
    images: Tensor,
    spec: InteractionSpec,
    *,
    seed: int,
    model_name: str,
    rows_per_pass: int,
) -> Measured:
    """Measure the interaction inside each perturbation on one model.

    Draws are keyed by seed, example and model, not by the attack: two attacks on one image are
    measured on the same cells.

    Args:
        model: gives logits or embeddings (R, C) for images (R, 3, H, W) in [0, 1]; in eval mode,
            and differentiable where the closed form is asked for.
        batch: the clean examples, on the model's device.
        images: the perturbed images, (B, 3, H, W).
        spec: what to measure.
        seed: the run's seed.
        model_name: the model's name in the run; keys the draws.
        rows_per_pass: most images in one call of the model: bounds memory.

    Raises:
        ValueError: when the spec, the batch and the model do not fit, with what does not.
    """
    if spec.scale_to is not None:
        images = _scaled(images.to(batch.images), batch.images, spec.scale_to)
    game = PerturbationGame(
        model,
        batch,
        images,
        grid=spec.cells,
        utility=spec.utility,
        rows_per_pass=rows_per_pass,
    )
    if spec.closed_form and game.utility != "loss":
        raise ValueError(
            f"closed_form is the curvature of the cross-entropy; goal {batch.goal.value!r} has "
            f"utility {game.utility!r}"
        )
    draws = Draws.keyed(seed, batch.ids, model=model_name)
    mean = (
        mean_interaction(game)
        if spec.estimator == "exact"
        else sampled_mean_interaction(game, draws, spec.drawn_cells)
    )
    nothing = torch.zeros(len(batch), 0, dtype=torch.float64)
    orders = Estimate.of(nothing)
    if spec.orders:
        orders = sampled_order_interactions(game, spec.orders, draws, spec.drawn_contexts)
    around: Estimate | None = None
    if spec.neighbours is not None:
        contexts = spec.drawn_neighbour_contexts
        around = sampled_neighbour_map(
            game, spec.cells, draws, contexts, neighbours=spec.neighbours
        )
    ends = Estimate.of(torch.stack([game.empty, game.whole], 1))
    finite = mean.finite & orders.finite & ends.finite
    if around is not None:
        finite = finite & around.finite
    evaluations = game.evaluations
    closed = None
    if spec.closed_form:
        found = _closed_form(model, batch, images, spec, rows_per_pass)
        closed, finite = found.value, finite & found.finite
        evaluations += len(batch) * (1 + spec.cells.cells * (spec.self_terms == "removed"))
    return Measured(
        mean=mean.value,
        standard_error=mean.standard_error,
        total=ends.value[:, 1],
        empty=ends.value[:, 0],
        closed_form=closed,
        orders=orders.value,
        orders_standard_error=orders.standard_error,
        neighbours=None if around is None else around.value.flatten(1),
        neighbours_standard_error=None if around is None else around.standard_error.flatten(1),
        finite=finite,
        cells=game.players,
        utility=game.utility,
        evaluations=evaluations,
    )


def _scaled(images: Tensor, clean: Tensor, size: float) -> Tensor:
    """Return the images with every perturbation at one l2 norm; a zero one stays zero."""
    delta = images - clean
    return clean + size * divide(delta, l2rms(delta))


def _closed_form(
    model: Callable[[Tensor], Tensor],
    batch: Batch,
    images: Tensor,
    spec: InteractionSpec,
    rows_per_pass: int,
) -> Estimate:
    """Return the attacker's delta^T H delta as a mean over ordered pairs of cells, (B,)."""
    grid: Grid = spec.cells
    perturbed = images.to(batch.images)
    delta = perturbed - batch.images
    at = batch.images if spec.curvature_at == "clean" else perturbed
    value = curvature(model, at, delta, rows_per_pass=rows_per_pass)
    if spec.self_terms == "removed":
        value = value - self_terms(model, at, delta, grid, rows_per_pass=rows_per_pass)
    # Targeted, the attacker's utility is minus the cross-entropy of the wanted class.
    sign = -1.0 if batch.goal is Goal.TARGETED else 1.0
    return Estimate.of(value).times(sign / (grid.cells * (grid.cells - 1)))
