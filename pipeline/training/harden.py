"""Adversarially trained surrogates (specification 2.5, Springer 2021).

A slightly robust network depends on features that other networks use, too, and its adversarial
examples transfer better. The training is Madry's (2018, eq. 2.1): theta = argmin of the mean over
images of max over |delta| <= eps of CE(h(x + delta), y), from the original's weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.attacks.ball import Ball
from gauntlet.pipeline.batch import Batch
from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.model import Model
from gauntlet.pipeline.training.ascent import ascend
from gauntlet.pipeline.training.fine_tuning import Done, FineTuned, fine_tune, logits_of, trainable
from gauntlet.pipeline.training.robustness import Accuracy, accuracy, entropy
from gauntlet.pipeline.training.settings import HardenSettings
from gauntlet.pipeline.training.trained_file import write_fine_tuned
from gauntlet.pipeline.training.unattacked import Unattacked

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, kw_only=True)
class Hardened(FineTuned):
    """A hardened network, and what it was judged by; its losses are the adversarial ones.

    Attributes:
        before: the original's accuracy on the held-out images.
        after: the hardened network's.
    """

    before: Accuracy
    after: Accuracy

    @property
    def sound(self) -> bool:
        """Whether robust accuracy at the training budget exceeds the original's (spec. 2.5)."""
        return self.after.robust > self.before.robust


def harden(
    model: Model,
    images: Unattacked,
    settings: HardenSettings | None = None,
    done: Done = lambda epoch, mean: None,
) -> Hardened:
    """Return an adversarially fine-tuned copy of a classifier.

    Args:
        model: the original, in float32 and not folded; never changed.
        images: to train on and to judge by.
        settings: how.
        done: told of each epoch.

    Raises:
        BadInput: when the model or the images do not allow it, or the loss is no longer finite.
    """
    settings = settings or HardenSettings()
    ball = Ball(settings.norm, settings.epsilon)
    network = trainable(model, images)
    training, held_out = images.split(settings.validation, settings.seed)

    logits = logits_of(network, model)

    def judged() -> Accuracy:
        return accuracy(logits, held_out, ball, settings.judge_steps, settings.seed, parameters[0])

    def loss(batch: Batch, draws: Draws) -> Tensor:
        assert batch.labels is not None
        # The inner steps see batch norm's running statistics, and leave them alone.
        raised = entropy(logits, batch.labels)
        hard = ascend(raised, batch.images, ball, settings.steps, settings.step_size, draws)
        with _normalising(network, settings.batch_norm == "updated"):
            return F.cross_entropy(logits(hard), batch.labels, reduction="none")

    parameters = list(network.parameters())
    before = judged()
    losses = fine_tune(parameters, training, settings, loss, model=model.name, done=done)
    return Hardened(
        network=network,
        before=before,
        after=judged(),
        losses=tuple(losses),
        training=training,
        held_out=held_out,
    )


def write_hardened(path: Path, hardened: Hardened, model: Model, settings: HardenSettings) -> None:
    """Write a hardened network with its provenance; a `file:` source loads it.

    Args:
        path: the safetensors file.
        hardened: what `harden` gave.
        model: the original.
        settings: of the training.
    """
    accuracies = {"before": asdict(hardened.before), "after": asdict(hardened.after)}
    write_fine_tuned(path, hardened, model, settings, "harden", {"accuracy": accuracies})


@contextmanager
def _normalising(network: nn.Module, by_batch: bool) -> Iterator[None]:
    """Let batch norms, and nothing else, be in training mode: dropout would draw unkeyed."""
    norms = [part for part in network.modules() if isinstance(part, _NORMS)] if by_batch else []
    for norm in norms:
        norm.train()
    try:
        yield
    finally:
        for norm in norms:
            norm.eval()
