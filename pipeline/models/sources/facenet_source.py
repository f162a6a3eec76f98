"""``facenet/vggface2`` and ``facenet/casia-webface``: InceptionResnetV1 of facenet-pytorch."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch import nn

from gauntlet.pipeline.batch import Task
from gauntlet.pipeline.models.checkpoint import load_checkpoint
from gauntlet.pipeline.models.description import Description
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.preprocessing import Preprocessing
from gauntlet.pipeline.models.sources.constructors import constructor_options, pretrained_only
from gauntlet.pipeline.models.sources.download import fetch_url, missing_url, url_problems
from gauntlet.pipeline.models.sources.source import Missing, Offer, Source, register
from gauntlet.pipeline.problems import Problem, suggest

_RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9"
_URLS = {
    "vggface2": f"{_RELEASE}/20180402-114759-vggface2.pt",
    "casia-webface": f"{_RELEASE}/20180408-102900-casia-webface.pt",
}


@register
class FacenetSource(Source):
    """The two published networks; 160 x 160, embeddings of 512 numbers of length 1."""

    form = "facenet/NAME"
    downloads = True

    def problems(self, rest: str, spec: ModelSpec, root: Path) -> list[Problem]:
        """Return what is wrong with the name, the options or a cached file."""
        if rest not in _URLS:
            return [Problem("source", suggest(rest, list(_URLS), "facenet weights"))]
        pretrained, found = pretrained_only(spec, "facenet")
        return [*(url_problems(f"facenet/{rest}", _URLS[rest]) if pretrained else []), *found]

    def description(self, rest: str, spec: ModelSpec, root: Path) -> Description:
        """Return (pixel - 127.5) / 128, in [0, 1] units."""
        mean, std = (127.5 / 255,) * 3, (128 / 255,) * 3
        return Description(Task.VERIFICATION, Preprocessing((160, 160), mean, std))

    def network(self, rest: str, spec: ModelSpec, root: Path) -> nn.Module:
        """Return the embedding network."""
        from facenet_pytorch import InceptionResnetV1

        # The package would load its file without weights_only; so it is loaded here.
        network = cast(nn.Module, InceptionResnetV1(pretrained=None, classify=False))
        pretrained, _ = constructor_options(spec)
        if pretrained:
            source = f"facenet/{rest}"
            # The files hold the training set's classifier too.
            load_checkpoint(fetch_url(source, _URLS[rest]), network, source, unused=("logits.",))
        return network

    def missing(self, rest: str, spec: ModelSpec, root: Path) -> list[Missing]:
        """Return the weights' file."""
        pretrained, _ = constructor_options(spec)
        return missing_url(_URLS[rest]) if pretrained and rest in _URLS else []

    def offers(self) -> list[Offer]:
        """Return the two names."""
        return [Offer(self.form, "InceptionResnetV1, faces of 160 x 160", tuple(_URLS))]
