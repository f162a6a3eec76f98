"""One surrogate answering queries: the part that runs next to the model, wherever that is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.attacks.query import Answer, Query, Setting, View
from pipeline.batch import Batch
from pipeline.draws import Draws
from pipeline.models.adapter import Model


class Responder:
    """Answers queries about one frozen model, each row of a batch on its own.

    Only the input's gradient is computed. Views of an image are batched; more rows than
    ``rows_per_pass`` are split over several passes, so that memory is bounded whatever the number
    of views. What an objective needs to know of a batch (a reference's embedding) is computed once
    and kept for the last few batches.
    """

    def __init__(self, model: Model, *, rows_per_pass: int = 256, remember: int = 16) -> None:
        self.model = model
        self.name = model.name
        self._rows_per_pass = rows_per_pass
        # By identity, with the batch kept alive: equal ids need not mean equal images or labels.
        self._known: OrderedDict[tuple[int, str], tuple[Batch, Tensor]] = OrderedDict()
        self._remember = remember
        self._held: tuple[Setting, Tensor, Tensor] | None = None

    def known(self, setting: Setting) -> Tensor:
        """Return what the objective needs to know of the whole batch, (B, ...)."""
        objective = setting.query.objective
        key = (id(setting.batch), f"{objective.token} {objective!r}")
        if key not in self._known:
            self._known[key] = (setting.batch, objective.prepare(self.model, setting.batch))
            while len(self._known) > self._remember:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key][1]

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
        for leaf, views, draws in self._passes(setting, points, rows):
            copies = len(views) // len(points)
            outputs = self.model(views, draws)
            each = query.objective.of_outputs(outputs, _tile(known, copies), goal)
            (part,) = torch.autograd.grad(each.sum(), leaf)
            values = values + each.detach().reshape(copies, -1).sum(0)
            gradient = part if gradient is None else gradient + part
        assert gradient is not None
        total = len(query.copies)
        return Answer(
            values / total, self._filtered(query, gradient / total if total > 1 else gradient)
        )

    def outputs(self, setting: Setting, points: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the model's outputs on every view, copy by copy, (copies * R, C)."""
        everything = len(points) * len(setting.query.copies)
        parts = []
        for leaf, views, draws in self._passes(setting, points, rows):
            outputs = self.model(views, draws)
            parts.append(outputs.detach())
            # If one pass does it all, its graph waits for the pullback: no second forward.
            self._held = (setting, leaf, outputs) if len(views) == everything else None
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
        if held is not None and _same_question(held[0], setting) and _equal(held[1], points):
            (part,) = torch.autograd.grad(held[2], held[1], cotangent)
            return self._filtered(setting.query, part)
        gradient: Tensor | None = None
        done = 0
        for leaf, views, draws in self._passes(setting, points, rows):
            outputs = self.model(views, draws)
            weight = cotangent[done : done + len(views)]
            done += len(views)
            (part,) = torch.autograd.grad(outputs, leaf, weight)
            gradient = part if gradient is None else gradient + part
        assert gradient is not None
        return self._filtered(setting.query, gradient)

    def _known_rows(self, setting: Setting, rows: Tensor | None) -> Tensor:
        known = self.known(setting)
        return known if rows is None else known[rows.to(known.device)]

    def _passes(
        self, setting: Setting, points: Tensor, rows: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor, Draws]]:
        """Yield (leaf, views of the leaf, draws of the views) for bounded groups of copies."""
        own = setting.draws(self.name, rows)
        shared = setting.draws("every model", rows)
        copies = setting.query.copies
        group = max(1, self._rows_per_pass // max(1, len(points)))
        for first in range(0, len(copies), group):
            with torch.enable_grad():
                leaf = points.detach().requires_grad_()
                chosen = copies[first : first + group]
                views = [_view(setting.query.views, leaf, copy, own, shared) for copy in chosen]
                stacked = views[0] if len(views) == 1 else torch.cat(views)
                keys = own.keys if len(views) == 1 else _copy_keys(own, len(views), first)
                yield leaf, stacked, Draws(keys)

    def _filtered(self, query: Query, gradient: Tensor) -> Tensor:
        for part in query.filters:
            gradient = part.apply(gradient)
        return gradient


def _same_question(one: Setting, other: Setting) -> bool:
    """Return whether two settings make the same views of the same batch."""
    keys = [(id(s.batch), s.query, s.seed, s.attack, s.step, s.draw) for s in (one, other)]
    return keys[0] == keys[1]


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


def _view(
    views: tuple[View, ...], images: Tensor, copy: tuple[int, ...], own: Draws, shared: Draws
) -> Tensor:
    for position, view in enumerate(views):
        images = view.apply(images, copy[: position + 1], shared if view.shared_draw else own)
    return images


def _tile(known: Tensor, copies: int) -> Tensor:
    return known if copies == 1 else known.repeat(copies, *([1] * (known.ndim - 1)))


def _copy_keys(draws: Draws, copies: int, first: int) -> Tensor:
    """Give every copy of a row its own stream, for a surrogate that is itself randomised."""
    return torch.cat([draws.bits(f"copy/{first + copy}") for copy in range(copies)])
