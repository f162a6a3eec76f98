"""The model that everything else talks to: canonical images in, logits or embeddings out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.callables import as_module
from gauntlet.pipeline.models.checkpoint import fingerprint, weights_fingerprint
from gauntlet.pipeline.models.defences.defence import Defence
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.frozen import frozen_copy
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.outputs import Unanswered, answer
from gauntlet.pipeline.models.precision import through, weight_of
from gauntlet.pipeline.models.preprocessing import Preprocessing, Triple, in_bytes
from gauntlet.pipeline.models.streams import streaming

Network: TypeAlias = nn.Module | Callable[[Tensor], Tensor]
"""What can be adapted: a module (of TorchScript, too), or a function of images (B, 3, H, W)."""


class Model(nn.Module):
    """A network with its own way from the canonical image to its input.

    Canonical (B, 3, H, W), RGB in [0, 1] -> defence -> resize or crop -> channel order ->
    (x - mean) / std -> network. All of it is differentiable. Parameters are frozen and the mode is
    eval, whatever is asked for later.

    Attributes:
        network: the bare network, on preprocessed images.
        description: what the model takes, gives and is.
        weights_fingerprint: hash of the weights alone: equal for two specs that share them.
        fingerprint: hash of the weights, the preprocessing, the defence and the network's class.
        spec: the spec that it was built from, or None.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        description: Description | None = None,
        *,
        spec: ModelSpec | None = None,
    ) -> None:
        """Wrap a network and freeze it, in place (`adapt` leaves the caller's module alone)."""
        super().__init__()
        self.network = network
        self.spec = spec
        self.weights_fingerprint = weights_fingerprint(network)
        # Members of a mean are models themselves, each with a type and an input of its own.
        self._holds_models = any(isinstance(part, Model) for part in network.modules())
        like = weight_of(network)
        for field in ("mean", "std"):
            place = torch.zeros(()) if like is None else like.new_zeros(())
            self.register_buffer(field, place, persistent=False)
        self._read(description or Description())
        self.requires_grad_(False)
        self.eval()

    def reread(self, preprocessing: Preprocessing) -> Model:
        """Return the same network behind another input convention; the network is shared."""
        twin = frozen_copy(self, replace={self.network: self.network})
        twin._read(replace(self.description, preprocessing=preprocessing))
        return twin

    def _read(self, description: Description) -> None:
        self.description, spec = description, self.spec
        # Of a rule without weights, where it comes from is all that is known.
        around = [] if weight_of(self.network) is not None or spec is None else [spec.source]
        self.fingerprint = fingerprint(
            self.weights_fingerprint,
            self.preprocessing,
            str(self.defence),
            type(self.network).__qualname__,
            sorted(spec.options.items()) if spec else [],
            *around,
        )
        self._set_normalisation()

    @property
    def name(self) -> str:
        """Unique within a job."""
        return self.description.name

    @property
    def task(self) -> Task:
        """What the output is for."""
        return self.description.task or Task.CLASSIFICATION

    @property
    def preprocessing(self) -> Preprocessing:
        """The network's input convention."""
        return self.description.preprocessing

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width that the network takes, or None for any."""
        return self.preprocessing.input_size

    @property
    def defence(self) -> Defence | None:
        """Transform in front of everything, or None."""
        return self.description.defence

    @property
    def randomised(self) -> bool:
        """Whether two calls on the same image may differ; then `forward` needs draws."""
        return self.defence is not None and self.defence.randomised

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.mean.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the images and outputs: the network's, float32 at least."""
        return self.mean.dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Model:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._set_normalisation()
        return self

    def _set_normalisation(self) -> None:
        """Bring mean and std to the network's device, and to its type if that is not a half one."""
        for field in ("mean", "std"):
            values = getattr(self.preprocessing, field) or (float(field == "std"),) * 3
            like = getattr(self, field)
            dtype = torch.promote_types(like.dtype, torch.float32)
            exact = torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1)
            setattr(self, field, exact.to(dtype).to(like.device))

    def train(self, mode: bool = True) -> Model:
        """Stay in eval mode: an attack must not update batch norm or draw dropout masks."""
        super().train(False)
        return self

    def forward(self, images: Tensor, draws: Draws | None = None) -> Tensor:
        """Return logits (B, C) or embeddings (B, D).

        Args:
            images: (B, 3, H, W), RGB in [0, 1]; of any floating point type, which the outputs have,
                too, if the network's is not wider.
            draws: one stream per row; needed when the model is randomised, not read otherwise.

        Raises:
            ValueError: when the images cannot be brought to the input size, or draws are missing.
            TypeError: when the network's output is not one row of numbers per image.
        """
        inputs = self.inputs(images, draws)
        with streaming(draws):
            outputs = self._rows(inputs)
            return outputs + self._rows(inputs.flip(3)) if self.preprocessing.mirror else outputs

    def through(
        self, network: nn.Module, inputs: Tensor, pick: Callable[[Any], Any] | None = None
    ) -> Any:
        """Return what a rewriting of the network makes of inputs; see `precision.through`.

        Args:
            network: the network, or one made from it.
            inputs: as `inputs` returns them.
            pick: chooses among what it returns; all of it by default.
        """
        if self._holds_models:
            return network(inputs)
        return through(network, inputs) if pick is None else through(network, inputs, pick)

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
            return (inputs - self.mean) / self.std
        # A network may write to its input: the images are the caller's.
        return inputs.clone()

    def _rows(self, inputs: Tensor) -> Tensor:
        try:
            outputs = self.through(self.network, inputs, answer)
        except Unanswered as error:
            raise TypeError(f"model {self.name!r}: {error}") from None
        if not isinstance(outputs, Tensor) or outputs.shape[:-1] != inputs.shape[:1]:
            found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise TypeError(
                f"model {self.name!r}: expected {len(inputs)} rows of logits or of an embedding, "
                f"the network returned {found}"
            )
        if inputs.requires_grad and torch.is_grad_enabled() and not outputs.requires_grad:
            raise TypeError(
                f"model {self.name!r}: its outputs have no derivative by the images; take "
                "no_grad, inference_mode or detach out of its forward pass"
            )
        return outputs


def adapt(
    module: Network,
    *,
    name: str = "model",
    task: Task | str = Task.CLASSIFICATION,
    mean: Sequence[float] | Tensor | None = None,
    std: Sequence[float] | Tensor | None = None,
    input_size: tuple[int, int] | None = None,
    channels: Literal["rgb", "bgr"] = "rgb",
) -> Model:
    """Return a model around your own module, which is left exactly as it is.

    The model holds a copy in eval mode that shares the parameters' memory and has its own buffers.
    Nothing is added unless asked for: a module that normalises by itself must not be given mean and
    std again, one that wants normalised input must be. It runs in its own floating point type.

    Args:
        module: takes (B, 3, H, W), returns logits (B, C) or embeddings (B, D), alone or among
            other outputs by the rules of `gauntlet.pipeline.models.outputs`. `DataParallel`,
            `DistributedDataParallel` and `torch.compile` are taken off it. A function is called as
            it is; networks that it uses must be in eval mode.
        name: what results call it.
        task: what the output is for.
        mean: per channel, in [0, 1] units and the module's channel order; 0 by default.
        std: per channel, in [0, 1] units; 1 by default.
        input_size: height and width to resize to (bilinear); any size by default.
        channels: channel order that the module wants.

    Raises:
        ValueError: when mean or std is not three numbers, or is in units of 0..255, or a function
            uses a network in training mode.
        TypeError: when it is no network, or cannot be copied.
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
    with torch.inference_mode(False):
        network = frozen_copy(as_module(module))
        return Model(network, Description(Task.named(task), preprocessing, name=name))


def _triple(field: str, values: Iterable[float] | Tensor | None) -> Triple | None:
    if values is None:
        return None
    try:
        red, green, blue = map(float, values)
    except (TypeError, ValueError):
        what = f"{field} must be three numbers, one a channel, got {values!r}"
        raise ValueError(what) from None
    return red, green, blue
