"""``hf:owner/name`` and ``hf:./folder``: image classifiers and image encoders of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from torch import Tensor, float32, nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.files import expanded
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.outputs import answer
from gauntlet.pipeline.models.preprocessing import Preprocessing, Triple
from gauntlet.pipeline.models.sources.constructors import constructor_options, pretrained_only
from gauntlet.pipeline.models.sources.optional import library
from gauntlet.pipeline.models.sources.repository import Repository
from gauntlet.pipeline.models.sources.source import Missing, Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem

_CONFIG, _PROCESSOR = "config.json", "preprocessor_config.json"
_WEIGHTS = "model.safetensors"
_INSTALL = "pip install 'gauntlet[hf]'"
_BICUBIC = 3
"""Pillow's number of bicubic interpolation, which processors name theirs by."""
_SHOWN = 4
_UNNAMED = "LABEL_0"
"""What transformers calls the first class of a network whose classes nobody has named."""


class ImageEmbeddings(nn.Module):
    """A network without a head: what it pools of an image, projected as texts are if it has any."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        if hasattr(model, "text_model"):
            del model.text_model  # half of the weights, which no image meets

    def forward(self, images: Tensor) -> Tensor:
        """Return embeddings (B, D)."""
        features = getattr(self.model, "get_image_features", self.model)
        found: Tensor = answer(features(pixel_values=images))
        return found.flatten(1) if found.shape[2:] == (1, 1) else found


@register
class HuggingFaceSource(Source):
    """Whatever `save_pretrained` wrote: weights as safetensors, no code, no pickles.

    The processor's size, mean, std, scale and channel order are the input convention. A repository
    of an image classifier is one; that of a network without a head (`CLIPModel`, `Dinov2Model`)
    gives image embeddings.
    """

    form = "hf:OWNER/NAME"
    downloads = True
    embeds = "a repository of the network without its head gives embeddings"
    classifies = "a repository of the network with a head (...ForImageClassification) classifies"

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the library, the name, the options or the files."""
        pretrained, found = pretrained_only(spec, "hf:")
        try:
            repository = Repository.of(f"hf:{rest}", rest, root)
            _config(repository)
            _preprocessing(repository)
        except BadInput as error:
            return [*found, *error.problems]
        return [*found, *(repository.weights_problems(_WEIGHTS) if pretrained else [])]

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return the processor's convention."""
        repository = Repository.of(f"hf:{rest}", rest, root)
        config = _config(repository)
        preprocessing = _preprocessing(repository)
        if _headless(config):
            return Description(Task.EMBEDDING, preprocessing)
        count = int(config.num_labels)
        names = tuple(str((config.id2label or {}).get(label, "")) for label in range(count))
        if not all(names) or names[0] == _UNNAMED:
            names = ()
        return Description(Task.CLASSIFICATION, preprocessing, classes=count, class_names=names)

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the network, all of whose weights are the file's."""
        repository = Repository.of(f"hf:{rest}", rest, root)
        config = _config(repository)
        if _headless(config):
            kind = _transformers().AutoModel
            return ImageEmbeddings(_made(kind, config, repository, spec))
        kind = _transformers().AutoModelForImageClassification
        return _made(kind, config, repository, spec)

    def weights_file(self, rest: str, root: Path) -> Path | None:
        """Return the weights of a folder on disk."""
        folder = root / expanded(rest)
        return folder / _WEIGHTS if folder.is_dir() else None

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the files of a repository."""
        pretrained, _ = constructor_options(spec)
        names = (_CONFIG, _PROCESSOR, *((_WEIGHTS,) if pretrained else ()))
        return Repository.of(f"hf:{rest}", rest, root).missing(*names)

    def offers(self) -> list[Offer]:
        """Return the form."""
        what = "image classifiers and encoders of transformers, by name or as a folder of "
        what += "save_pretrained"
        return [Offer(self.form, f"{what}; needs the extra `hf`")]


def _transformers() -> Any:
    return library("transformers", "hf:", _INSTALL)


def _made(kind: Any, config: Any, repository: Repository, spec: ModelSpec) -> nn.Module:
    """Return a network of a class of the library, with a repository's weights where asked for."""
    pretrained, _ = constructor_options(spec)
    if not pretrained:
        return cast(nn.Module, kind.from_config(config, trust_remote_code=False))
    folder = repository.file(_WEIGHTS).parent
    try:
        network, about = kind.from_pretrained(
            folder,
            config=config,
            dtype=float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:  # a damaged file can fail in any way
        raise _problem(repository, str(error).strip().split("\n")[0]) from None
    if wrong := _differences(about):
        raise _problem(repository, f"the weights do not fit the network: {wrong}")
    return cast(nn.Module, network)


def _config(repository: Repository) -> Any:
    """Return the network's configuration, by a class of the library."""
    path = repository.file(_CONFIG)
    kind = repository.settings(_CONFIG).get("model_type")
    library = _transformers()
    try:
        config = library.AutoConfig.from_pretrained(
            path.parent, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever a damaged configuration leads to
        raise _problem(repository, str(error).strip().split("\n")[0]) from None
    sees = hasattr(config, "vision_config")
    if not sees and type(config) not in library.AutoModelForImageClassification._model_mapping:
        raise _problem(repository, f"{kind!r} is no image classifier of transformers")
    return config


def _headless(config: Any) -> bool:
    """Return whether the network that a repository has is none of classes."""
    named = config.architectures or ["ForImageClassification"]
    return not any("ForImageClassification" in name for name in named)


def _preprocessing(repository: Repository) -> Preprocessing:
    """Return a processor's convention, in units of images in [0, 1]."""
    folder = repository.file(_PROCESSOR).parent
    try:
        processor = _transformers().AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        return _convention(processor.to_dict())
    except BadInput:
        raise
    except Exception as error:  # whatever a damaged processor leads to
        raise _problem(
            repository, f"{_PROCESSOR}: {str(error).strip().split(chr(10))[0]}"
        ) from None


def _convention(says: dict[str, Any]) -> Preprocessing:
    """Return what a processor does: u -> (factor u - offset - mean) / std of bytes u."""
    factor = float(says.get("rescale_factor") or 1 / 255) if says.get("do_rescale", True) else 1.0
    offset = 1.0 if says.get("do_rescale", True) and says.get("rescale_offset") else 0.0
    normalises = says.get("do_normalize", True)
    means = says["image_mean"] if normalises else (0.0,) * 3
    stds = says["image_std"] if normalises else (1.0,) * 3
    scale = 255 * factor
    bicubic = says.get("resample") == _BICUBIC
    resize: Literal["bicubic", "bilinear"] = "bicubic" if bicubic else "bilinear"
    return Preprocessing(
        input_size=_size(says),
        mean=cast(Triple, tuple((float(m) + offset) / scale for m in means)),
        std=cast(Triple, tuple(float(s) / scale for s in stds)),
        channels="bgr" if says.get("do_flip_channel_order") else "rgb",
        resize=resize,
    )


def _size(says: dict[str, Any]) -> tuple[int, int] | None:
    """Return the height and width that a processor ends with: the crop's, or the resized image's.

    Raises:
        ValueError: when it says neither.
    """
    size = says.get("crop_size") if says.get("do_center_crop") else says.get("size")
    if not says.get("do_center_crop") and not says.get("do_resize", True):
        return None
    if isinstance(size, int):
        return size, size
    if isinstance(size, dict) and "height" in size:
        return int(size["height"]), int(size["width"])
    if isinstance(size, dict) and "shortest_edge" in size:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    raise ValueError(f"no height and width in {size!r}")


def _differences(about: dict[str, Any]) -> str:
    parts = []
    for what in ("missing", "unexpected", "mismatched"):
        if found := sorted(map(str, about[f"{what}_keys"])):
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            parts.append(f"{len(found)} {what}: {', '.join(found[:_SHOWN])}{more}")
    return "; ".join(parts)


def _problem(repository: Repository, what: str) -> BadInput:
    return BadInput(Problem("source", f"{repository.source}: {what}"))
