"""Training FD's heads."""

import pytest
import torch

from gauntlet.pipeline.models.heads import (
    HeadSettings,
)
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.training.head_training import Seen, _check, _held_out, auc, train_head

SETTINGS = HeadSettings(hidden=16, steps=120, batch=32, rate=0.01)


def blobs(count: int = 240, classes: int = 4, spread: float = 1.0) -> Seen:
    """Features 1000 + class centre + noise, in maps of 2 x 2."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    centres = 3 * torch.randn(classes, 12, generator=generator)
    noise = spread * torch.randn(count, 12, generator=generator)
    ids = tuple(f"image-{i}" for i in range(count))
    return Seen(1000 + centres[labels] + noise, labels, ids, torch.arange(count), (3, 2, 2))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.1, 0.4, 0.35, 0.8], 0.75), ([0, 0, 1, 1], 1.0), ([1, 1, 0, 0], 0.0), ([2, 2, 2, 2], 0.5)],
)
def test_auc(scores, expected):
    assert auc(torch.tensor(scores), torch.tensor([False, False, True, True])) == expected


def test_a_trained_head_tells_its_class_from_the_others():
    seen = blobs()
    head = train_head(seen, 2, SETTINGS)
    assert head.auc > 0.99
    logits = head(seen.features)
    assert ((logits > 0) == (seen.labels == 2)).float().mean() > 0.97
    assert torch.equal(head.trained_on, seen.hashes)
    # Nothing to learn: the AUC says so, since it is taken on images that were not trained on.
    noise = Seen(torch.randn(240, 12), seen.labels, seen.ids, seen.hashes, seen.shape)
    assert 0.2 < train_head(noise, 2, SETTINGS).auc < 0.8


def test_training_is_keyed_and_leaves_the_global_generator_alone():
    seen = blobs()
    heads = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        heads.append(train_head(seen, 0, SETTINGS))
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(heads[0].hidden_weights, heads[1].hidden_weights)
    for field, value in {"hidden": 8, "steps": 60, "batch": 16, "rate": 0.001, "seed": 1,
                         "validation": 0.4}.items():  # fmt: skip
        other = train_head(seen, 0, SETTINGS.model_copy(update={field: value}))
        same = other.hidden_weights.shape == heads[0].hidden_weights.shape
        assert not (same and torch.equal(other.hidden_weights, heads[0].hidden_weights)), field


def test_validation_images_are_a_share_of_both_kinds_whatever_the_order():
    seen = blobs(100, 5)
    held_out = _held_out(seen, 3, SETTINGS)
    assert int(held_out[seen.labels == 3].sum()) == 4
    assert int(held_out[seen.labels != 3].sum()) == 16
    turned = Seen(seen.features.flip(0), seen.labels.flip(0), seen.ids[::-1], seen.hashes.flip(0),
                  seen.shape)  # fmt: skip
    assert torch.equal(_held_out(turned, 3, SETTINGS), held_out.flip(0))
    few = Seen(seen.features[:10], seen.labels[:10], seen.ids[:10], seen.hashes[:10], seen.shape)
    assert _held_out(few, 3, SETTINGS)[few.labels == 3].tolist().count(True) == 1


def test_too_few_images_of_a_class_are_reported_class_by_class():
    seen = blobs(6, 4)  # classes 0 and 1 twice, 2 and 3 once
    with pytest.raises(BadInput) as caught:
        _check(seen, range(4))
    assert [str(problem) for problem in caught.value.problems] == [
        f"data: a head needs two images or more of class {label}, there are 1" for label in (2, 3)
    ]


def test_what_never_varied_in_training_is_not_blown_up():
    seen = blobs()
    still = Seen(torch.cat([seen.features, torch.zeros(240, 4)], 1), seen.labels, seen.ids,
                 seen.hashes, (4, 2, 2))  # fmt: skip
    weights = train_head(still, 0, SETTINGS).hidden_weights.abs()
    assert weights[:, 12:].mean() < 10 * weights[:, :12].mean()
