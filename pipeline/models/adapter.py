"""The model that everything else talks to: canonical images in, logits or embeddings out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.batch import Task
from pipeline.draws import Draws
from pipeline.models.checkpoint import fingerprint, weights_fingerprint
from pipeline.models.defences import TransformDefence
from pipeline.models.frozen import frozen_copy
from pipeline.models.preprocessing import Preprocessing, Triple, in_bytes
from pipeline.models.spec import ModelSpec
from pipeline.models.streams import streaming


class Model(nn.Module):
    """A network with its own way from the canonical image to its input.

    Canonical (B, 3, H, W), RGB in [0, 1] -> defence -> resize or crop -> channel order ->
    (x - mean) / std -> network. All of it is differentiable. Parameters are frozen and the mode is
    eval, whatever is asked for later.

    Attributes:
        network: the bare network, on preprocessed images.
        defence: transform in front of everything, or None.
        name: unique within a job.
        task: what the output is for.
        preprocessing: the network's input convention.
        input_size: height and width that the network takes, or None for any.
        randomised: whether two calls on the same image may differ; then `forward` needs draws.
        weights_fingerprint: hash of the weights alone: equal for two specs that share them.
        fingerprint: hash of the weights, the preprocessing, the defence and the network's class.
        adversarial: how the weights were trained adversarially, in words, or None.
        spec: the spec that it was built from, or None.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str = "model",
        task: Task = Task.CLASSIFICATION,
        preprocessing: Preprocessing | None = None,
        defence: TransformDefence | None = None,
        adversarial: str | None = None,
        spec: ModelSpec | None = None,
    ) -> None:
        """Wrap a network and freeze it, in place (`adapt` leaves the caller's module alone)."""
        super().__init__()
        self.network = network
        self.defence = defence
        self.name = name
        self.task = task
        self.randomised = defence is not None and defence.randomised
        self.adversarial = adversarial
        self.spec = spec
        self.weights_fingerprint = weights_fingerprint(network)
        self._read(preprocessing or Preprocessing())
        self.requires_grad_(False)
        self.eval()

    def reread(self, preprocessing: Preprocessing) -> Model:
        """Return the same network behind another input convention; the network is shared."""
        twin = frozen_copy(self, replace={self.network: self.network})
        twin._read(preprocessing)
        return twin

    def _read(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self.input_size = preprocessing.input_size
        self.fingerprint = fingerprint(
            self.weights_fingerprint,
            preprocessing,
            str(self.defence),
            type(self.network).__qualname__,
            sorted(self.spec.options.items()) if self.spec else [],
        )
        like = next((t for t in self.network.state_dict().values() if t.is_floating_point()), None)
        for field in ("mean", "std"):
            values = getattr(preprocessing, field) or (float(field == "std"),) * 3
            buffer = torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1)
            buffer = buffer.to(torch.get_default_dtype()) if like is None else buffer.to(like)
            self.register_buffer(field, buffer, persistent=False)

    def train(self, mode: bool = True) -> Model:
        """Stay in eval mode: an attack must not update batch norm or draw dropout masks."""
        super().train(False)
        return self

    def forward(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return logits (B, C) or embeddings (B, D).

        Args:
            images: (B, 3, H, W), RGB in [0, 1], of the model's floating point type.
            draws: one stream per row; needed when the model is randomised, not read otherwise.

        Raises:
            ValueError: when the images cannot be brought to the input size, or draws are missing.
            TypeError: when the network's output is not one row of numbers per image.
        """
        inputs = self.inputs(images, draws)
        with streaming(draws):
            outputs = self._rows(inputs)
            return outputs + self._rows(inputs.flip(3)) if self.preprocessing.mirror else outputs

    def inputs(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return what the network takes: defended, fitted and normalised images.

        Args:
            images: as in `forward`.
            draws: as in `forward`.
        """
        if self.defence is not None:
            images = self.defence(images, draws)
        inputs = self.preprocessing.fit(images)
        if self.preprocessing.mean is not None or self.preprocessing.std is not None:
            inputs = (inputs - self.mean) / self.std
        return inputs

    def _rows(self, inputs: Tensor) -> Tensor:
        outputs = self.network(inputs)
        if not isinstance(outputs, Tensor) or outputs.shape[:-1] != inputs.shape[:1]:
            found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise TypeError(
                f"model {self.name!r}: expected {len(inputs)} rows of logits or of an embedding, "
                f"the network returned {found}"
            )
        return outputs


def adapt(
    module: nn.Module,
    *,
    name: str = "model",
    task: Task = Task.CLASSIFICATION,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    input_size: tuple[int, int] | None = None,
    channels: Literal["rgb", "bgr"] = "rgb",
) -> Model:
    """Return a model around your own module, which is left exactly as it is.

    The model holds a copy in eval mode that shares the parameters' memory and has its own buffers.
    Nothing is added unless asked for: a module that normalises by itself must not be given mean and
    std again, one that wants normalised input must be.

    Args:
        module: takes (B, 3, H, W), returns logits (B, C) or embeddings (B, D).
        name: what results call it.
        task: what the output is for.
        mean: per channel, in [0, 1] units and the module's channel order; 0 by default.
        std: per channel, in [0, 1] units; 1 by default.
        input_size: height and width to resize to (bilinear); any size by default.
        channels: channel order that the module wants.

    Raises:
        ValueError: when mean or std is not three numbers, or is in units of 0..255.
    """
    triples = _triple("mean", mean), _triple("std", std)
    if wrong := in_bytes(*triples):
        raise ValueError(f"{wrong[0]}: {wrong[1]}")
    preprocessing = Preprocessing(
        input_size=None if input_size is None else (input_size[0], input_size[1]),
        mean=triples[0],
        std=triples[1],
        channels=channels,
    )
    return Model(frozen_copy(module), name=name, task=task, preprocessing=preprocessing)


def _triple(field: str, values: Sequence[float] | None) -> Triple | None:
    if values is None:
        return None
    try:
        red, green, blue = map(float, values)
    except (TypeError, ValueError):
        what = f"{field} must be three numbers, one a channel, got {values!r}"
        raise ValueError(what) from None
    return red, green, blue
