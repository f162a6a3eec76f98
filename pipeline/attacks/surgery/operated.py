"""A surrogate under an attack's surgeries, and what it shows of its inside."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor, nn

from gauntlet.pipeline.attacks.surgery.surgery import Surgery
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.frozen import frozen_copy
from gauntlet.pipeline.models.graph import default_layer, tap, truncate
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.models.streams import streaming


class Operated:
    """A model with its network rewritten; the model itself stays as it is.

    Networks that stop at a layer, or show it, are made when they are first asked for.
    """

    def __init__(self, model: Model, surgeries: tuple[Surgery, ...] = ()) -> None:
        network = model.network
        for surgery in sorted(surgeries, key=lambda surgery: surgery.order):
            network = surgery.rewrite(network)
        self.model = frozen_copy(model, replace={model.network: network}) if surgeries else model
        self._plain = model.network
        self._truncated: dict[str, nn.Module] = {}
        self._tapped: dict[str, nn.Module] = {}

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @cached_property
    def _default_layer(self) -> str:
        # Of the network without surgeries, so that all attacks of a surrogate mean the same layer.
        return default_layer(self._plain)

    def __call__(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return logits or embeddings, (R, C)."""
        outputs: Tensor = self.model(images, draws)
        return outputs

    def features(self, images: Tensor, layer: str | None, draws: Draws | None = None) -> Tensor:
        """Return a layer's activation, (R, F); of the image alone where the model adds its mirror.

        Raises:
            ValueError: when the network has no such layer, or cannot be traced.
        """
        layer = layer or self._default_layer
        if layer not in self._truncated:
            self._truncated[layer] = truncate(self.model.network, layer)
        inputs = self.model.inputs(images, draws)
        with streaming(draws):
            features: Tensor = self.model.through(self._truncated[layer], inputs)
        return features

    def tapped(
        self, images: Tensor, layer: str | None, draws: Draws | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return a layer's activation (R, F) and the outputs (R, C), both of one pass."""
        layer = layer or self._default_layer
        if layer not in self._tapped:
            self._tapped[layer] = tap(self.model.network, layer)
        inputs = self.model.inputs(images, draws)
        with streaming(draws):
            features, outputs = self.model.through(self._tapped[layer], inputs)
            if self.model.preprocessing.mirror:
                outputs = outputs + self.model.through(self.model.network, inputs.flip(3))
        return features, outputs
