"""Oracle tests of AA (specification 2.6)."""

import pytest
import torch

from gauntlet.pipeline.batch import Batch, Goal
from gauntlet.pipeline.norms import linf
from tests.toys.features import LinearFeatures, Net, answer, attacked, faces, targeted, with_options
from tests.toys.surrogates import class_batch, images, names, vectors


@pytest.mark.parametrize("goal", ["targeted", "impersonation"])
def test_o_aa_1_linear_features(goal):
    net, clean, reference = LinearFeatures(), images(3), images(3, seed=5)
    if goal == "targeted":
        batch = targeted(clean, reference)
    else:
        batch = Batch(names(3), clean, Goal.IMPERSONATION, references=reference)
    found = answer(with_options("aa", layer="middle"), batch, net, clean)
    weights = net.middle.weight
    offset = (clean - reference).flatten(1) @ weights.T
    size = offset.norm(dim=1)
    assert torch.allclose(found.values, -size, atol=1e-14)
    expected = -(offset / size[:, None]) @ weights
    assert torch.allclose(found.gradient.flatten(1), expected, atol=4e-15)


def test_o_aa_2_the_reference_itself_is_a_fixed_point():
    clean = images(3)
    attack = with_options("aa", layer="features", attack={"base": "mi", "steps": 4})
    found = attacked(attack, targeted(clean, clean), Net())
    assert torch.equal(found.images, clean)
    assert not found.lost


def test_aa_leaves_the_reference_when_dodging_and_the_clean_image_when_untargeted():
    net, clean = Net(), images(3)
    points = clean + 0.02 * vectors(3)
    features = [net.features(x - 0.5).flatten(1) for x in (points, clean, images(3, seed=7))]
    dodging = answer(with_options("aa", layer="features"), faces(clean, Goal.DODGING), net, points)
    assert torch.allclose(dodging.values, (features[0] - features[2]).norm(dim=1), atol=1e-13)
    attack = with_options("aa", layer="features", attack={"base": "pgd-mi", "steps": 3})
    away = answer(attack, class_batch(clean), net, points)
    assert torch.allclose(away.values, (features[0] - features[1]).norm(dim=1), atol=1e-13)
    moved = attacked(attack, class_batch(clean), net).images
    assert (linf(moved - clean) > 7 / 255).all()


def test_aa_needs_a_random_start_or_an_image_of_the_wanted_class():
    attack = with_options("aa", layer="features")
    with pytest.raises(ValueError, match=r"no gradient at the clean image: add 'pgd' to the base"):
        attacked(attack, class_batch(images(2)), Net())
    with pytest.raises(ValueError, match=r"an image of each example's wanted class.*references"):
        attacked(attack, targeted(images(2)), Net())
