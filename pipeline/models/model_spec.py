"""What a job says about a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Union

from pydantic import Field

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.defences.defence import Defence, catalogue
from gauntlet.pipeline.spec import Quantity, Several, Spec


def _is_none(value: object) -> bool:
    return value is None


def _is_nothing(value: object) -> bool:
    return not value


if TYPE_CHECKING:
    AnyDefence = Defence
else:
    AnyDefence = Annotated[Union[tuple(catalogue().values())], Field(discriminator="kind")]  # noqa: UP007
"""An input transform in front of a model: the fields of one of the defences."""


class ModelSpec(Spec):
    """One model: where it comes from and how a canonical image becomes its input."""

    name: str
    """Unique within a job; the `target` column of the results."""
    source: str
    """Where its network comes from, such as `timm/NAME` (`gauntlet models` lists all sources), or
    `mean:logits` of `members`."""
    members: Several[ModelSpec] = ()
    """`mean:logits` sources: the models whose logits are averaged; each needs a name."""
    task: Task | None = None
    """`import:` sources: what the model does; the job's task by default. Other sources know it."""
    architecture: str | None = None
    """Named architecture of a `file:` source (see `gauntlet models`); by default the one that the
    names and shapes of its weights tell, where only one has these."""
    key: str | None = Field(None, exclude_if=_is_none)
    """`file:` sources: which state dict of a checkpoint that holds several, as its message lists
    them: `ema`, or `nets.0`. Wrappers and prefixes are taken off without it."""
    sha256: str | None = Field(None, pattern="^[0-9a-fA-F]{8,64}$", exclude_if=_is_none)
    """`file:` sources: how the file's SHA-256 begins, 8 digits or more; another file is refused."""
    fetch: str | None = Field(None, exclude_if=_is_none)
    """`file:`, `onnx:`, `trained:` and `import:` sources: where the file, or `files`, can be had if
    not there. The address of the file itself (`https://.../net.pth`) is what `gauntlet models
    fetch` downloads; a page or words are for a person."""
    files: Several[str] = Field((), exclude_if=_is_nothing)
    """`import:` sources: files that the factory needs, such as its weights, from the job's `root`;
    `gauntlet check` says which are not there."""
    unfold_limit: int | None = Field(None, ge=1, exclude_if=_is_none)
    """`file:` sources: how many times the file's own size a checkpoint may take in memory. More
    than 4 (the default) is refused: that is no network, but a trap or an unusual compression."""
    input_size: tuple[int, int] | None = None
    """Height and width that the network wants; the source's own by default."""
    mean: tuple[Quantity, Quantity, Quantity] | None = None
    """Per channel, in [0, 1] units, in the network's channel order; the source's own by default."""
    std: tuple[Quantity, Quantity, Quantity] | None = None
    """Per channel, in [0, 1] units."""
    channels: Literal["rgb", "bgr"] | None = None
    """Channel order that the network wants."""
    resize: Literal["bilinear", "bicubic", "crop"] | None = None
    """How an image of another size is brought to the input size; `crop` takes its centre."""
    mirror: bool = False
    """Verification: add the embedding of the mirrored image."""
    defence: AnyDefence | None = None
    """Input transform in front of the model."""
    adversarial: bool | None = None
    """States that the weights were trained on adversarial images: a surrogate of the family of
    slightly robust ones, or a target of the group `adversarial`. `zoo/NAME`, timm's tags and files
    of `gauntlet surrogates harden` say it themselves; to contradict them is an error."""
    repeats: int | None = Field(None, ge=1)
    """Evaluations of a randomised target per image (default 5 when randomised, 1 otherwise)."""
    group: str | None = None
    """Target group of the report. By default `transform` behind a defence, `adversarial` for a
    model trained adversarially, else `normal`."""
    white_box: bool = False
    """States that a target is known to be one of the surrogates."""
    threshold: float | None = Field(None, ge=-1, le=1)
    """Verification: cosine threshold; found by the LFW protocol by default."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Keyword arguments of the `import:` factory or of the network's constructor.

    `pretrained: false` gives a timm, torchvision or facenet network random weights; `weights: NAME`
    chooses among torchvision's; `num_classes: 0` makes a timm network give embeddings; `source` of
    a `trained:` file is that of its network.
    """
