"""The interactions table: one row an image x surrogate that was measured (specification 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.interactions import InteractionSpec, measure
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.run.request import Request
from gauntlet.pipeline.run.rows.columns import Columns
from gauntlet.pipeline.run.rows.failures import Failures


@dataclass(frozen=True)
class Interactions:
    """What was measured of B perturbations on one surrogate; float64.

    Attributes:
        columns: (B,) by name of a column of the `interactions` table.
        orders: mean interaction of each order asked for, (B, orders).
        orders_standard_error: its sampling error, (B, orders).
        neighbours: mean interaction of each cell with those around it, (B, n), or None.
        neighbour_errors: its sampling error, (B, n), or None.
        finite: whether every number of an example is finite, bool (B,).
        utility: what was used.
    """

    columns: Mapping[str, np.ndarray]
    orders: np.ndarray
    orders_standard_error: np.ndarray
    neighbours: np.ndarray | None
    neighbour_errors: np.ndarray | None
    finite: np.ndarray
    utility: str


@dataclass(frozen=True)
class InteractionRequest(Request[Interactions]):
    """Measure the interactions of ``images - batch.images`` on a surrogate.

    Attributes:
        batch: the clean examples, (B, 3, H, W).
        images: adversarial images, (B, 3, H, W).
        spec: what to measure.
        seed: the run's seed.
        rows_per_pass: the most images in one forward pass.
    """

    batch: Batch
    images: Tensor
    spec: InteractionSpec
    seed: int
    rows_per_pass: int

    def of(self, model: Model) -> Interactions:
        """Return what was measured.

        Raises:
            ValueError: when the spec does not fit the batch or the model.
        """
        found = measure(
            model,
            self.batch.to(model.device, model.dtype),
            self.images.to(model.device, model.dtype),
            self.spec,
            seed=self.seed,
            model_name=model.name,
            rows_per_pass=self.rows_per_pass,
        )
        columns = {
            "interaction": found.mean,
            "standard_error": found.standard_error,
            "total": found.total,
            "empty": found.empty,
        }
        if found.closed_form is not None:
            columns["closed_form"] = found.closed_form
        near, error = found.neighbours, found.neighbours_standard_error
        return Interactions(
            {name: values.double().cpu().numpy() for name, values in columns.items()},
            found.orders.double().cpu().numpy(),
            found.orders_standard_error.double().cpu().numpy(),
            None if near is None else near.numpy(),
            None if error is None else error.numpy(),
            found.finite.cpu().numpy(),
            found.utility,
        )


def interaction_columns(
    spec: InteractionSpec,
    identity: Mapping[str, Any],
    l2: np.ndarray,
    found: Mapping[str, Interactions],
    failures: Failures,
) -> dict[str, Any]:
    """Return the columns of the interactions table; examples without finite values go to failures.

    Args:
        spec: what was measured.
        identity: columns that say which attack on which B examples the rows are about.
        l2: size of the perturbations, 8-bit steps, (B,).
        found: measured, by surrogate.
        failures: collects the failures.

    Returns:
        The columns; none when no example has finite values.
    """
    grid = spec.cells
    columns = Columns()
    for surrogate, measured in found.items():
        good = np.flatnonzero(measured.finite)
        for row in np.flatnonzero(~measured.finite):
            reason = f"surrogate {surrogate!r}: a utility is not finite"
            failures.add(identity["example"][row], "interactions", reason, identity["attack"])
        if not len(good):
            continue
        chosen = {
            name: [value[row] for row in good] if isinstance(value, list) else value
            for name, value in identity.items()
        }
        columns.add(
            len(good),
            **chosen,
            surrogate=surrogate,
            grid=f"{grid.rows}x{grid.columns}",
            utility=measured.utility,
            estimator=spec.estimator,
            samples=grid.cells if spec.estimator == "exact" else spec.drawn_cells,
            orders=[list(spec.orders)] * len(good),
            order_interactions=measured.orders[good].tolist(),
            order_standard_errors=measured.orders_standard_error[good].tolist(),
            neighbours=_lists(measured.neighbours, good),
            neighbour_errors=_lists(measured.neighbour_errors, good),
            l2=l2[good],
            scaled_to=None if spec.scale_to is None else 255 * spec.scale_to,
            **{"closed_form": None}
            | {name: values[good] for name, values in measured.columns.items()},
        )
    return columns.joined()


def _lists(values: np.ndarray | None, rows: np.ndarray) -> list[list[float]] | None:
    return None if values is None else values[rows].tolist()
