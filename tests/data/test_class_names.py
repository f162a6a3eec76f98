"""Names of classes: the same by any spelling, and told where they are others."""

from __future__ import annotations

import pytest
from torchvision.models import ResNet50_Weights

from gauntlet.pipeline.data.class_names import disagreement, disagreements
from gauntlet.pipeline.data.known_classes import imagenet_synsets, spellings

SYNSETS = imagenet_synsets()
TORCHVISION = ResNet50_Weights.DEFAULT.meta["categories"]


def test_imagenet_by_synset_and_by_torchvisions_words_agrees() -> None:
    assert disagreement(SYNSETS, TORCHVISION) is None
    assert disagreement(TORCHVISION, SYNSETS) is None
    described = [", ".join(spellings(synset)[1:]) for synset in SYNSETS]
    assert disagreement(described, TORCHVISION) is None
    assert disagreement([name.replace(" ", "_").upper() for name in TORCHVISION], SYNSETS) is None
    assert disagreement(["", SYNSETS[1], ""], TORCHVISION) is None


def test_the_first_differences_are_told_with_their_places() -> None:
    names = [*TORCHVISION]
    names[0], names[1] = names[1], names[0]
    assert disagreement(names, SYNSETS) == (
        "2 of 1,000 labels are other classes: 0 is 'goldfish' in the data and 'n01440764' there, "
        "which has 'goldfish' as 1; 1 is 'tench' in the data and 'n01443537' there, which has "
        "'tench' as 0"
    )
    ten = sorted(["n01443537", "n02106662", "n02123045", "n03000684"])
    said = disagreement(ten, TORCHVISION)
    assert said is not None
    assert said.startswith("4 of 4 labels are other classes: 0 is 'n01443537' in the data and 'te")
    assert disagreement(["hund", "katze"], ["tench", "goldfish"]) == (
        "none of the names of the data (hund, katze) is a class of it (tench, goldfish)"
    )


@pytest.mark.parametrize("names", [(), ("", ""), ("0", "1"), ("007", "12")])
def test_where_nothing_can_be_compared_nothing_is_said(names: tuple[str, ...]) -> None:
    assert disagreement(names, ("tench", "goldfish")) is None


def test_models_with_one_disagreement_are_told_together() -> None:
    models = {"a": ("tench", "eel"), "b": ("tench", "eel"), "c": ("eel", "hen"), "d": ()}
    assert disagreements(("eel", "hen"), models) == [
        "classes of a, b: 2 of 2 labels are other classes: 0 is 'eel' in the data and 'tench' "
        "there, which has 'eel' as 1; 1 is 'hen' in the data and 'eel' there"
    ]
