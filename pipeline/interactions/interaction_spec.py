"""What a run measures of each perturbation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gauntlet.pipeline.interactions.cells import Borders, Grid
from gauntlet.pipeline.interactions.utilities import UtilityChoice
from gauntlet.pipeline.spec import Quantity, Several, Spec

SAMPLED_CELLS = 32
SAMPLED_CONTEXTS = 256
SAMPLED_NEIGHBOUR_CONTEXTS = 16


class InteractionSpec(Spec):
    """The interaction inside a perturbation, measured on the model that it was made on."""

    grid: int | tuple[int, int] = 16
    """Cells along each side of the image, or rows and columns: the units that interact."""
    borders: Borders = "round"
    """Where cells meet on an image that the grid does not divide: `round` (every pixel belongs to
    a cell) or `floor` (equal cells, as the official code: a rest belongs to none)."""
    utility: UtilityChoice = "auto"
    """What a set of cells is worth: `loss` (increase of the cross-entropy), `margin` (best other
    logit minus the true one, the class anew for each set), `margin-fixed` (the class of the whole
    perturbation), `similarity` (change of the cosine; faces). `auto`: `loss`, or `similarity` for
    faces."""
    estimator: Literal["exact", "sampled"] = "exact"
    """How the mean interaction is made: from every cell (2n + 2 evaluations an image) or from
    some of them, with a standard error."""
    samples: int | None = Field(default=None, ge=2)
    """Cells drawn for `estimator: sampled`, without replacement. Default 32, or all cells of a
    smaller grid."""
    orders: Several[int] = ()
    """Orders s, 0 to n - 2, whose mean interaction is estimated too: the mean over pairs, with s
    other cells perturbed around them."""
    order_samples: int | None = Field(default=None, ge=2)
    """Pairs with a context drawn for each order (4 evaluations each). Default 256."""
    neighbours: Literal[4, 8] | None = None
    """Estimate every cell's mean interaction with the 4 or 8 cells around it (Figure 3)."""
    neighbour_samples: int | None = Field(default=None, ge=4, multiple_of=2)
    """Contexts drawn for each pair of neighbours (4 evaluations each). Default 16."""
    scale_to: Annotated[Quantity | None, Field(gt=0)] = None
    """Scale every perturbation to this l2 norm first, |d|_2 / sqrt(3HW) in [0, 1] units such as
    `2/255`, so that attacks are compared at one norm. Scaled images may leave [0, 1]."""
    closed_form: bool = False
    """Whether delta^T H delta / (n (n - 1)) of the cross-entropy is reported beside the mean: what
    the interaction is for a piecewise-linear network and a small perturbation."""
    self_terms: Literal["kept", "removed"] = "kept"
    """Whether the closed form keeps the curvature inside each cell, which the mean interaction
    does not count. `removed` costs n more derivatives an image."""
    curvature_at: Literal["clean", "adversarial"] = "clean"
    """Where the closed form takes H."""

    @model_validator(mode="after")
    def _consistent(self) -> InteractionSpec:
        cells = self.cells.cells
        if cells < 2:
            raise ValueError("grid: an interaction needs at least two cells")
        if self.samples is not None and self.estimator == "exact":
            raise ValueError("samples: only for `estimator: sampled`; exact uses every cell")
        if self.samples is not None and self.samples > cells:
            raise ValueError(f"samples: the grid has {cells} cells, got {self.samples}")
        if self.order_samples is not None and not self.orders:
            raise ValueError("order_samples: needs `orders`")
        if self.neighbour_samples is not None and self.neighbours is None:
            raise ValueError("neighbour_samples: needs `neighbours`")
        wrong = [order for order in self.orders if not 0 <= order <= cells - 2]
        if wrong or len(set(self.orders)) != len(self.orders):
            raise ValueError(
                f"orders: expected different numbers from 0 to {cells - 2}, got {self.orders}"
            )
        if self.closed_form and self.utility not in ("auto", "loss"):
            raise ValueError(
                f"closed_form: is the curvature of the loss, not of utility {self.utility!r}"
            )
        changed = self.self_terms != "kept" or self.curvature_at != "clean"
        if changed and not self.closed_form:
            raise ValueError("self_terms and curvature_at: need `closed_form: true`")
        return self

    @property
    def cells(self) -> Grid:
        """The grid of perturbation units."""
        rows, columns = (self.grid, self.grid) if isinstance(self.grid, int) else self.grid
        return Grid(rows, columns, self.borders)

    @property
    def drawn_cells(self) -> int:
        """Cells that the sampled estimator draws."""
        return self.samples or min(SAMPLED_CELLS, self.cells.cells)

    @property
    def drawn_neighbour_contexts(self) -> int:
        """Contexts drawn for each pair of neighbours."""
        return self.neighbour_samples or SAMPLED_NEIGHBOUR_CONTEXTS

    @property
    def drawn_contexts(self) -> int:
        """Pairs with a context drawn for each order."""
        return self.order_samples or SAMPLED_CONTEXTS
