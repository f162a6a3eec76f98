"""What every source of models answers, and how sources are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gauntlet.pipeline.models.build import (
    build,
    check,
    describe,
    downloads,
    offers,
    weightless,
    weights_file,
)
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.source import Source, catalogue, find_source, register

HERE = Path(".")


def spec(source: str, **fields: Any) -> ModelSpec:
    return ModelSpec(name="m", source=source, **fields)


def test_catalogue_lists_every_source() -> None:
    found = offers()
    forms = {"timm/NAME", "torchvision/NAME", "facenet/NAME", "zoo/NAME", "file:PATH"}
    forms |= {"quickstart/NAME", "trained:FILE", "import:MODULE:FACTORY", "mean:logits"}
    assert {offer.form for offer in found} >= forms
    names = {name for offer in found for name in offer.names}
    assert {"resnet50", "squeezenet1_1", "vggface2", "cifar-resnet-56"} <= names


@pytest.mark.parametrize(
    ("source", "options", "classes"),
    [
        ("timm/resnet18.a1_in1k", {}, 1000),
        ("timm/resnet18.a1_in1k", {"num_classes": 7}, 7),
        ("timm/resnet18.a1_in1k", {"num_classes": 0}, None),
        ("torchvision/resnet18", {}, 1000),
        ("torchvision/resnet18", {"num_classes": 12, "pretrained": False}, 12),
        ("facenet/vggface2", {}, None),
        ("zoo/s1", {}, None),
    ],
)
def test_the_number_of_classes_is_known_before_a_network_is_built(source, options, classes):
    found = describe(spec(source, options=options), Path("."))
    assert found.classes == classes
    assert (" classes; " in str(found)) == (classes is not None)


def test_networks_of_other_weights_need_no_download(caches: Path) -> None:
    several = spec("mean:logits", members=(spec("torchvision/resnet18"), spec("zoo/s1")))
    (problem,) = check(spec("torchvision/resnet18"), HERE)
    assert "cannot be downloaded" in problem.what
    made = build(weightless(spec("torchvision/resnet18")))
    assert made.spec is not None
    assert made.weights_fingerprint != build(made.spec).weights_fingerprint
    same = [build(one).fingerprint for one in (spec("zoo/s1"), weightless(spec("zoo/s1")))]
    assert same[0] == same[1]
    assert downloads(several)
    assert not downloads(spec("zoo/s1"))


@pytest.mark.parametrize(
    ("source", "options", "file"),
    [
        ("file:nets/a.pth", {}, "nets/a.pth"),
        ("trained:/b.pth", {"source": "torchvision/resnet18"}, "/b.pth"),
        ("import:pipeline.surrogates.restored:network", {"file": "c.pth"}, "c.pth"),
        ("torchvision/resnet18", {}, None),
        ("mean:logits", {}, None),
        ("nowhere/net", {}, None),
    ],
)
def test_weights_that_lie_in_a_file_are_known_by_it(
    source: str, options: dict[str, str], file: str | None
) -> None:
    expected = None if file is None else Path("/data") / file
    assert weights_file(spec(source, options=options), Path("/data")) == expected


def test_a_scheme_belongs_to_one_source() -> None:
    schemes = [source.scheme for source in catalogue()]
    assert len(set(schemes)) == len(schemes)
    kind, rest, _ = find_source(spec("timm/resnet18"))
    assert (kind.form, rest) == ("timm/NAME", "resnet18")

    class Other(type(kind)):  # type: ignore[misc]
        form = "timm/MODEL"

    with pytest.raises(ValueError, match="two sources claim the scheme 'timm/'"):
        register(Other)
    assert isinstance(kind, Source)
