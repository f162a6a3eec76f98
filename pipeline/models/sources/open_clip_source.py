"""``open_clip:ARCHITECTURE/TAG`` and ``open_clip:./folder``: CLIP-like encoders of images.

Alone they give embeddings. With names of classes they classify: an image's logits are the cosines
of its embedding with those of each class's prompts, times the scale that was trained with them
(Radford et al. 2021, section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.files import expanded, obstacle
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.outputs import answer
from gauntlet.pipeline.models.preprocessing import Preprocessing, Triple
from gauntlet.pipeline.models.sources.constructors import constructor_options
from gauntlet.pipeline.models.sources.optional import library
from gauntlet.pipeline.models.sources.repository import Repository
from gauntlet.pipeline.models.sources.source import Missing, Offer, Source, register
from gauntlet.pipeline.problems import BadInput, Problem, suggest

_CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_INSTALL = "pip install 'gauntlet[open-clip]'"
_PROMPT = "a photo of a {}."
_MOST_CLASSES = 100_000
_TEXTS = 256
"""Prompts that are encoded at a time."""


class ZeroShot(nn.Module):
    """An image encoder and the embeddings of each class's prompts, (C, D) of length 1."""

    prompts: Tensor
    scale: Tensor

    def __init__(self, visual: nn.Module, prompts: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.visual = visual
        self.register_buffer("prompts", prompts)
        self.register_buffer("scale", scale)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, C)."""
        return self.scale * F.normalize(answer(self.visual(images)), dim=-1) @ self.prompts.T


@dataclass(frozen=True)
class _Encoder:
    """A pair of encoders: what makes them, what the image's takes, and where the weights are."""

    name: str
    arguments: dict[str, Any]
    preprocessing: Preprocessing
    repository: Repository


@register
class OpenClipSource(Source):
    """Image embeddings; or zero-shot classifiers, by the option `classes`.

    It names a file with a class's name a line. `prompts` names a file of templates, one a line,
    each with a {} for the name; the embeddings of a class's prompts are averaged.
    """

    form = "open_clip:ARCHITECTURE/TAG"
    downloads = True
    embeds = "without the option `classes` it gives image embeddings"
    classifies = (
        "the option `classes` makes a zero-shot classifier of it: a file with a class's name a "
        "line, in the order of the labels"
    )

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the library, the name, the options or the files."""
        pretrained, others = constructor_options(spec)
        found = [
            Problem("options", suggest(name, ["classes", "prompts", "pretrained"], "option"))
            for name in others
            if name not in ("classes", "prompts")
        ]
        try:
            if _classifies(spec):
                _classes(spec, root)
            _templates(spec, root)
        except BadInput as error:
            found += error.problems
        try:
            encoder = _encoder(rest, root)
        except BadInput as error:
            return [*found, *error.problems]
        return [*found, *(encoder.repository.weights_problems(_WEIGHTS) if pretrained else [])]

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return the convention that the weights were trained with."""
        form = _encoder(rest, root).preprocessing
        if not _classifies(spec):
            return Description(Task.EMBEDDING, form)
        names = tuple(_classes(spec, root))
        return Description(Task.CLASSIFICATION, form, classes=len(names), class_names=names)

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the image encoder, with the prompts' embeddings if any; the text's is left."""
        open_clip, encoder = _open_clip(), _encoder(rest, root)
        pretrained, _ = constructor_options(spec)
        try:
            model = open_clip.create_model(
                encoder.name,
                load_weights=False,
                pretrained_text=False,
                **encoder.arguments,
            ).eval()
            if pretrained:
                path = encoder.repository.file(_WEIGHTS)
                open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
            visual = cast(nn.Module, model.visual)
            if not _classifies(spec):
                return visual
            texts = _embedded(
                model,
                open_clip.get_tokenizer(encoder.name),
                _classes(spec, root),
                _templates(spec, root),
            )
        except BadInput:
            raise
        except Exception as error:  # a damaged file, or a tokenizer that would be downloaded
            raise _problem(rest, " ".join(str(error).split()[:40])) from None
        return ZeroShot(visual, texts, model.logit_scale.detach().exp())

    def weights_file(self, rest: str, root: Path) -> Path | None:
        """Return the weights of a folder on disk."""
        folder = root / expanded(rest)
        return folder / _WEIGHTS if folder.is_dir() else None

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the files of a repository, or the weights of a tag."""
        if _tagged(rest, root):
            return _encoder(rest, root).repository.missing(_WEIGHTS)
        repository = Repository.of(f"open_clip:{rest}", rest, root)
        return repository.missing(_CONFIG, _WEIGHTS)

    def offers(self) -> list[Offer]:
        """Return the form."""
        what = (
            "image encoders of open_clip, alone or as zero-shot classifiers (`classes`), by tag, "
        )
        what += "Hugging Face's name or folder"
        return [Offer(self.form, f"{what}; needs the extra `open-clip`")]


def _open_clip() -> Any:
    return library("open_clip", "open_clip:", _INSTALL)


def _tagged(rest: str, root: Path) -> bool:
    """Return whether the text of a source is an architecture and a tag of the library's."""
    known = rest.partition("/")[0] in _open_clip().list_models()
    return known and not (root / expanded(rest)).is_dir()


def _encoder(rest: str, root: Path) -> _Encoder:
    """Return what the text of a source means: a published tag, or a repository of files."""
    open_clip = _open_clip()
    if _tagged(rest, root):
        architecture, _, tag = rest.partition("/")
        published = open_clip.get_pretrained_cfg(architecture, tag)
        if not published:
            known = [one for name, one in open_clip.list_pretrained() if name == architecture]
            raise _problem(rest, suggest(tag, known, f"weights of {architecture}"))
        if not (hub := str(published.get("hf_hub") or "")):
            raise _problem(rest, "its weights are published as a pickle only, which is not read")
        config = open_clip.get_model_config(architecture)
        quick = {"force_quick_gelu": True} if published.get("quick_gelu") else {}
        repository = Repository(f"open_clip:{rest}", "/".join(hub.split("/")[:2]), Path())
        return _Encoder(architecture, quick, _convention(config, published), repository)
    repository = Repository.of(f"open_clip:{rest}", rest, root)
    says = repository.settings(_CONFIG)
    folder = repository.file(_CONFIG).parent
    try:
        convention = _convention(says["model_cfg"], says.get("preprocess_cfg") or {})
    except (KeyError, TypeError, ValueError) as error:
        raise _problem(rest, f"{folder / _CONFIG}: {error!r}") from None
    return _Encoder(f"local-dir:{folder}", {}, convention, repository)


def _convention(config: dict[str, Any], trained: dict[str, Any]) -> Preprocessing:
    """Return an encoder's input, by its configuration and what its weights were trained with."""
    side = trained.get("size") or config["vision_cfg"]["image_size"]
    high, wide = (side, side) if isinstance(side, int) else side
    open_clip = _open_clip()
    return Preprocessing(
        input_size=(int(high), int(wide)),
        mean=cast(Triple, tuple(trained.get("mean") or open_clip.OPENAI_DATASET_MEAN)),
        std=cast(Triple, tuple(trained.get("std") or open_clip.OPENAI_DATASET_STD)),
        resize="bilinear" if trained.get("interpolation") == "bilinear" else "bicubic",
    )


def _classifies(spec: ModelSpec) -> bool:
    """Return whether a spec asks for a zero-shot classifier."""
    return "classes" in spec.options


def _classes(spec: ModelSpec, root: Path) -> list[str]:
    """Return the names of the classes, in the order of their labels."""
    names = _lines(spec, "classes", root)
    if len(names) > _MOST_CLASSES:
        raise BadInput(Problem("options", f"more than {_MOST_CLASSES:,} classes"))
    return names


def _templates(spec: ModelSpec, root: Path) -> list[str]:
    """Return the prompts with a place for the class's name."""
    if "prompts" not in spec.options:
        return [_PROMPT]
    if not _classifies(spec):
        raise BadInput(Problem("options", "`prompts` has no effect without `classes`"))
    templates = _lines(spec, "prompts", root)
    for number, line in enumerate(templates, start=1):
        if line.count("{}") != 1:
            what = f"prompts: line {number} needs one {{}} for the class's name: {line!r:.60}"
            raise BadInput(Problem("options", what))
    return templates


def _lines(spec: ModelSpec, option: str, root: Path) -> list[str]:
    path = root / expanded(str(spec.options[option]))
    if (what := obstacle(path)) is not None:
        raise BadInput(Problem("options", f"{option}: {path}: {what}"))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(Problem("options", f"{option}: {path}: {error}")) from None
    if not lines or not all(line.strip() for line in lines):
        number = next((n for n, line in enumerate(lines, start=1) if not line.strip()), 1)
        raise BadInput(Problem("options", f"{option}: {path}: line {number} is empty"))
    return [line.strip() for line in lines]


@torch.no_grad()
def _embedded(model: Any, tokenizer: Any, names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Return the mean of each class's embedded prompts, (C, D) of length 1."""
    texts = [template.replace("{}", name) for name in names for template in templates]
    parts = [
        F.normalize(model.encode_text(tokenizer(texts[first : first + _TEXTS])), dim=-1)
        for first in range(0, len(texts), _TEXTS)
    ]
    rows = torch.cat(parts).reshape(len(names), len(templates), -1)
    return F.normalize(rows.mean(1), dim=-1)


def _problem(rest: str, what: str) -> BadInput:
    return BadInput(Problem("source", f"open_clip:{rest}: {what}"))
