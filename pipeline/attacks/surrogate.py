"""What a part may ask of a surrogate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from gauntlet.pipeline.draws import Draws

Known = Mapping[str, Tensor]
"""What an objective knows of each example: every tensor has one row an example."""


class Surrogate(Protocol):
    """A model under the query's surgeries.

    Layers are named by module path; None is the default layer of the network's family.
    """

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def fingerprint(self) -> str:
        """Hash of the model's weights and preprocessing; surgeries do not change it."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits or embeddings, (R, C)."""

    def features(self, images: Tensor, layer: str | None) -> Tensor:
        """Return a layer's activation, flattened per example, (R, F); the forward stops there."""

    def tapped(self, images: Tensor, layer: str | None) -> tuple[Tensor, Tensor]:
        """Return a layer's activation (R, F) and the outputs (R, C) computed from it."""


class Forward(Protocol):
    """A surrogate behind the query's views, for one pass: some view copies of each point.

    Attributes:
        rows: points of the pass: asked rows x view copies in it, copies outermost.
        room: variants of each point that may go into one call, at least 1: bounds memory.
        deterministic: whether equal images always get equal answers.
        first: whether this is the question's first pass.
        copies: view copies of the whole query, over which answers are averaged.
    """

    rows: int
    room: int
    deterministic: bool
    first: bool
    copies: int

    @property
    def draws(self) -> Draws:
        """One random stream per row, keyed by step, model and view copy."""

    def __call__(self, images: Tensor) -> Tensor:
        """Return the outputs on V variants of each point, with one random draw for all variants.

        Args:
            images: (V * rows, 3, H, W) in canonical space, variants outermost.
        """

    def features(self, images: Tensor, layer: str | None) -> Tensor:
        """Return a layer's activation instead, (V * rows, F)."""

    def bare(self, images: Tensor) -> Tensor:
        """Return the outputs on V variants of each asked point without the views."""
