"""One forward pass of a query: the views and random streams of a group of copies."""

from __future__ import annotations

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.messages import Setting
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.surgery.operated import Operated
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.draws import Draws


class Streams:
    """The random streams of a question's rows, hashed when something first draws."""

    def __init__(self, setting: Setting, model: str, rows: Tensor | None) -> None:
        self._setting, self._model, self._rows = setting, model, rows
        self._made: dict[str, Draws] = {}

    @property
    def batch(self) -> Batch:
        """What is asked about."""
        return self._setting.batch

    @property
    def own(self) -> Draws:
        """Streams of this model."""
        return self._of(self._model)

    @property
    def shared(self) -> Draws:
        """Streams that all models have in common."""
        return self._of("every model")

    def _of(self, name: str) -> Draws:
        if name not in self._made:
            self._made[name] = self._setting.draws(name, self._rows)
        return self._made[name]


class Pass:
    """A surrogate behind some of a query's view copies: a `Forward` of `attacks/surrogate.py`."""

    def __init__(
        self,
        surrogate: Operated,
        query: Query,
        chosen: list[tuple[int, ...]],
        first: int,
        room: int,
        points: int,
        streams: Streams,
    ) -> None:
        self.chosen = chosen
        self.rows = points * len(chosen)
        self.room = room
        self.deterministic = query.deterministic and not surrogate.model.randomised
        self.first = first == 0
        self.copies = len(query.copies)
        self._surrogate, self._views = surrogate, query.views
        self._points, self._position, self._streams = points, first, streams
        self._drawing = surrogate.model.randomised or any(
            surgery.randomised for surgery in query.surgeries
        )

    @property
    def draws(self) -> Draws:
        """One stream per row: a point's own, another for each further copy of it."""
        own = self._streams.own
        if self.copies == 1:
            return own
        copies = range(self._position, self._position + len(self.chosen))
        return Draws(torch.cat([own.bits(f"copy/{copy}") for copy in copies]))

    def __call__(self, images: Tensor) -> Tensor:
        """Return the outputs on V variants of each row, (V * rows, C)."""
        return self._fitting(self._surrogate(self._viewed(images), self._for(images)))

    def features(self, images: Tensor, layer: str | None) -> Tensor:
        """Return a layer's activation on V variants of each row, (V * rows, F)."""
        return self._surrogate.features(self._viewed(images), layer, self._for(images))

    def bare(self, images: Tensor) -> Tensor:
        """Return the outputs on V variants of each asked point, without the views."""
        if not self._drawing:
            return self._fitting(self._surrogate(images))
        draws = Draws(tile(self._streams.own.keys, len(images) // self._points))
        return self._fitting(self._surrogate(images, draws))

    def _fitting(self, outputs: Tensor) -> Tensor:
        self._streams.batch.check_classes(outputs.shape[1], self._surrogate.name)
        return outputs

    def _for(self, images: Tensor) -> Draws | None:
        """Return the streams of a randomised surrogate, the same for all variants of a row."""
        if not self._drawing:
            return None
        return Draws(tile(self.draws.keys, len(images) // self.rows))

    def _viewed(self, images: Tensor) -> Tensor:
        if not self._views:
            return images
        variants = len(images) // self.rows
        if len(self.chosen) == 1:
            return self._view(images, self.chosen[0], variants)
        size = tuple(images.shape[1:])
        apart = images.reshape(variants, len(self.chosen), self._points, *size)
        views = [
            self._view(apart[:, index].flatten(0, 1), copy, variants)
            for index, copy in enumerate(self.chosen)
        ]
        together = torch.stack([view.reshape(variants, self._points, *size) for view in views], 1)
        return together.flatten(0, 2)

    def _view(self, images: Tensor, copy: tuple[int, ...], variants: int) -> Tensor:
        for position, view in enumerate(self._views):
            draws = self._streams.shared if view.shared_draw else self._streams.own
            keys = draws if variants == 1 else Draws(tile(draws.keys, variants))
            images = view.apply(images, copy[: position + 1], keys)
        return images


def tile(values: Tensor, times: int) -> Tensor:
    """Return the rows repeated as a whole, (times * R, ...); the tensor itself for once."""
    return values if times == 1 else values.repeat(times, *([1] * (values.ndim - 1)))
