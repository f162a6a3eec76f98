"""What a defence is, and the catalogue of them.

A defence is a file in this package that defines one subclass of `Defence` and registers it::

    @register
    class Darken(Defence):
        '''Darkens every image.'''

        kind: Literal["darken"]
        '''Which transform.'''
        by: Probability = 0.1
        '''Share of the light that is taken away.'''

        def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
            return images * (1 - self.by)

Every module of this package is imported by the catalogue, so a new file needs no other edit.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar, cast, get_args

import torch
from torch import Tensor

from gauntlet.pipeline.discovery import import_all
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.spec import Spec

Gradient = Literal["straight-through", "none"]


class Defence(Spec):
    """A transform of canonical images, called as ``defence(images, draws)``.

    Images (B, 3, H, W), RGB in [0, 1], to the same shape; each row on its own. Its fields are what
    a job says of it, and all that it depends on; `str` shows them, for fingerprints.

    Attributes:
        kind: what a job calls it; the first field of each, a `Literal` of one word.
        randomised: whether it draws random numbers, and so needs ``draws``.
    """

    randomised: ClassVar[bool] = False
    if TYPE_CHECKING:
        kind: str

    @abstractmethod
    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return the transformed images.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            draws: one stream per row, read by a randomised defence alone.
        """

    def __str__(self) -> str:
        own = ", ".join(f"{name}={value}" for name, value in self if name != "kind")
        return f"{type(self).__name__}({own})"


DefenceType = TypeVar("DefenceType", bound=type[Defence])
_catalogue: dict[str, type[Defence]] = {}


def register(defence: DefenceType) -> DefenceType:
    """Enter a defence into the catalogue under its kind (class decorator)."""
    entry: type[Defence] = defence
    (kind,) = get_args(entry.model_fields["kind"].annotation)
    if _catalogue.setdefault(kind, entry).__qualname__ != entry.__qualname__:
        raise ValueError(f"two defences claim the kind {kind!r}")
    return defence


def catalogue() -> dict[str, type[Defence]]:
    """Return every registered defence by its kind, in the order of the kinds."""
    import_all("gauntlet.pipeline.models.defences")
    return dict(sorted(_catalogue.items()))


class _Passed(torch.autograd.Function):
    """Exactly the transformed values forward; the identity times ``weight`` backward."""

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx,
        images: Tensor,
        transformed: Tensor,
        weight: float,
    ) -> Tensor:
        context.weight = weight  # type: ignore[attr-defined]
        return transformed.clone()

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None]:
        weight: float = context.weight  # type: ignore[attr-defined]
        return gradients[0] * weight, None, None


def passed(images: Tensor, transformed: Tensor, gradient: Gradient) -> Tensor:
    """Return transformed images through which back-propagation sees the identity, or nothing."""
    weight = 1.0 if gradient == "straight-through" else 0.0
    return cast(Tensor, _Passed.apply(images, transformed, weight))
