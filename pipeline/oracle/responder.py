"""One surrogate answering queries: the part that runs next to the model, wherever that is."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gauntlet.pipeline.attacks.messages import Answer, Setting
from gauntlet.pipeline.attacks.query import Query
from gauntlet.pipeline.attacks.surgery.operated import Operated
from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.attacks.surrogate import Known
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.oracle.passes import Pass, Streams, tile
from gauntlet.pipeline.oracle.preparations import Preparations


class Responder:
    """Answers queries about one frozen model, each row of a batch on its own.

    Only the input's gradient is computed. Views of an image are batched; more rows than
    ``rows_per_pass`` are split over several passes, so that memory is bounded whatever the number
    of views.
    """

    def __init__(self, model: Model, *, rows_per_pass: int = 256, remember: int = 16) -> None:
        self.name = model.name
        self._model = model
        self._operated: dict[tuple[Surgery, ...], Operated] = {}
        self._rows_per_pass = rows_per_pass
        self._preparations = Preparations(remember)
        self._held: tuple[Setting, Tensor, Tensor] | None = None

    def known(self, setting: Setting) -> Known:
        """Return what the query needs to know of the whole batch, each tensor (B, ...)."""
        return self._preparations.known(setting, self._surrogate(setting.query))

    def gradients(self, setting: Setting, points: Tensor, rows: Tensor | None = None) -> Answer:
        """Return J and dJ/dx at the points.

        Args:
            setting: batch, query and the keys of the random draws.
            points: (R, 3, H, W) in canonical space.
            rows: examples that the points belong to, int64 (R,); all when None.
        """
        query, goal = setting.query, setting.batch.goal
        known = self._known_rows(setting, rows)
        values, gradient = points.new_zeros(len(points)), None
        for forward in self._passes(setting, points, rows):
            here = {name: tile(value, len(forward.chosen)) for name, value in known.items()}
            with torch.enable_grad():
                leaf = tile(points.detach(), len(forward.chosen)).requires_grad_()
                for piece in query.terms(leaf, here, goal, forward):
                    (part,) = torch.autograd.grad(piece.sum(), leaf)
                    part = _over_copies(part, len(points))
                    gradient = part if gradient is None else gradient + part
                    values = values + _over_copies(piece.detach(), len(points))
        assert gradient is not None
        total = len(query.copies)
        if total > 1:
            values, gradient = values / total, gradient / total
        # A wider network gives wider values; what leaves here has the type of the points.
        return Answer(values.to(points.dtype), self._filtered(query, gradient))

    def outputs(self, setting: Setting, points: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the model's outputs on every view, copy by copy, (copies * R, C)."""
        parts = []
        for forward in self._passes(setting, points, rows):
            with torch.enable_grad():
                leaf = tile(points.detach(), len(forward.chosen)).requires_grad_()
                outputs = forward(leaf)
            parts.append(outputs.detach())
            # If one pass does it all, its graph waits for the pullback: no second forward.
            whole = len(forward.chosen) == forward.copies
            self._held = (setting, leaf, outputs) if whole else None
        return torch.cat(parts)

    def pullback(
        self, setting: Setting, points: Tensor, cotangent: Tensor, rows: Tensor | None = None
    ) -> Tensor:
        """Return the filtered vector-Jacobian product, (R, 3, H, W).

        Args:
            setting: as in `gradients`; the same draws are made again.
            points: (R, 3, H, W).
            cotangent: derivative with respect to `outputs`, (copies * R, C).
            rows: as in `gradients`.
        """
        held, self._held = self._held, None
        copies = len(setting.query.copies)
        if (
            held is not None
            and _same_question(held[0], setting)
            and _equal(held[1], tile(points, copies))
        ):
            (part,) = torch.autograd.grad(held[2], held[1], cotangent.to(held[2]))
            return self._filtered(setting.query, _over_copies(part, len(points)))
        gradient = torch.zeros_like(points)
        done = 0
        for forward in self._passes(setting, points, rows):
            with torch.enable_grad():
                leaf = tile(points.detach(), len(forward.chosen)).requires_grad_()
                outputs = forward(leaf)
            weight = cotangent[done : done + forward.rows].to(outputs)
            done += forward.rows
            (part,) = torch.autograd.grad(outputs, leaf, weight)
            gradient = gradient + _over_copies(part, len(points))
        return self._filtered(setting.query, gradient)

    def _surrogate(self, query: Query) -> Operated:
        if query.surgeries not in self._operated:
            self._operated[query.surgeries] = Operated(self._model, query.surgeries)
        return self._operated[query.surgeries]

    def _known_rows(self, setting: Setting, rows: Tensor | None) -> Known:
        known = self.known(setting)
        if rows is None:
            return known
        return {name: value[rows.to(value.device)] for name, value in known.items()}

    def _passes(self, setting: Setting, points: Tensor, rows: Tensor | None) -> Iterator[Pass]:
        """Yield passes over bounded groups of view copies."""
        query = setting.query
        streams = Streams(setting, self.name, rows)
        copies = query.copies
        group = max(1, self._rows_per_pass // max(1, len(points)))
        surrogate = self._surrogate(query)
        for first in range(0, len(copies), group):
            chosen = copies[first : first + group]
            room = max(1, self._rows_per_pass // max(1, len(points) * len(chosen)))
            yield Pass(surrogate, query, chosen, first, room, len(points), streams)

    def _filtered(self, query: Query, gradient: Tensor) -> Tensor:
        for part in query.filters:
            gradient = part.apply(gradient)
        return gradient


def _over_copies(values: Tensor, rows: int) -> Tensor:
    """Return the sum over the copies of each row, (rows, ...)."""
    return values if len(values) == rows else values.reshape(-1, rows, *values.shape[1:]).sum(0)


def _same_question(one: Setting, other: Setting) -> bool:
    """Return whether two settings make the same views of the same batch."""
    keys = [(id(s.batch), s.query, s.seed, s.attack, s.step, s.draw) for s in (one, other)]
    return keys[0] == keys[1]


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)
