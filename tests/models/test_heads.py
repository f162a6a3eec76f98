"""FD's heads: pooling, files, what they belong to."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from gauntlet.pipeline.models.heads import (
    HeadSettings,
    about_head,
    head_path,
    heads_key,
    image_hashes,
    pooled,
    read_head,
    write_head,
)
from gauntlet.pipeline.problems import BadInput
from tests.toys.features import random_head

SETTINGS = HeadSettings(hidden=16, steps=120, batch=32, rate=0.01)


@pytest.mark.parametrize("side", [(14, 14), (7, 12), (8, 8), (3, 16)])
@pytest.mark.parametrize("pool", [1, 8])
def test_pooling_is_adaptive_average_pooling(side: tuple[int, int], pool: int) -> None:
    maps = torch.rand(2, 3, *side, dtype=torch.float64, requires_grad=True)
    size = (min(pool, side[0]), min(pool, side[1]))
    found, expected = pooled(maps, pool), F.adaptive_avg_pool2d(maps, size).flatten(1)
    assert torch.allclose(found, expected, atol=1e-15)
    weights = torch.rand_like(found)
    one, other = (torch.autograd.grad(v, maps, weights)[0] for v in (found, expected))
    assert torch.allclose(one, other, atol=1e-15)


def test_pooling_of_sequences_and_vectors():
    tokens, vector = torch.rand(2, 5, 7), torch.rand(2, 7)
    assert torch.equal(pooled(tokens, 8), tokens.mean(1))
    assert torch.equal(pooled(vector, 8), vector)


def test_a_head_survives_its_file(tmp_path):
    head = random_head(1)
    path = head_path(tmp_path, heads_key("abc", None, SETTINGS), 1)
    write_head(path, head, {"label": 1, "spec": "{}"})
    assert about_head(path) == {
        "shape": [6, 8, 8], "pool": 8, "auc": head.auc, "label": 1, "spec": "{}",
    }  # fmt: skip
    again = read_head(path, torch.device("cpu"), torch.float32)
    features = torch.randn(3, 6 * 8 * 8)
    assert torch.equal(again(features), head(features))
    assert torch.equal(again.trained_on, head.trained_on)
    assert read_head(path, torch.device("cpu"), torch.float64).weights.dtype == torch.float64
    assert [entry.name for entry in path.parent.iterdir()] == ["class-1.safetensors"]


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "class-1.safetensors"
    path.write_bytes(b"no tensors")
    with pytest.raises(BadInput, match=r"class-1.safetensors: not a readable file of a head"):
        read_head(path, torch.device("cpu"), torch.float32)


def test_a_file_that_lacks_a_part_of_the_head_is_named(tmp_path):
    path = tmp_path / "class-0.safetensors"
    about = {"shape": "[1]", "pool": "1", "auc": "1.0"}
    save_file({"weights": torch.ones(2)}, path, about)
    with pytest.raises(BadInput, match="not a readable file of a head"):
        read_head(path, torch.device("cpu"), torch.float32)


def test_heads_belong_to_a_model_a_layer_and_settings():
    keys = [
        heads_key("abc", None, SETTINGS),
        heads_key("abd", None, SETTINGS),
        heads_key("abc", "layer2", SETTINGS),
        *(
            heads_key("abc", None, SETTINGS.model_copy(update={field: value}))
            for field, value in {
                "pool": 1,
                "hidden": 9,
                "steps": 9,
                "batch": 8,
                "rate": 0.1,
                "validation": 0.1,
                "seed": 5,
            }.items()
        ),
    ]
    assert len(set(keys)) == len(keys) == 3 + len(HeadSettings.model_fields)


def test_images_are_known_by_their_content_not_by_their_precision():
    levels = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 4), dtype=np.uint8)
    images = torch.from_numpy(levels).float() / 255
    found = image_hashes(images)
    assert torch.equal(found, image_hashes(images.double()))
    assert torch.equal(found.flip(0), image_hashes(images.flip(0)))
    changed = images.clone()
    changed[1, 0, 0, 0] = 1 - changed[1, 0, 0, 0]
    assert (image_hashes(changed) == found).tolist() == [True, False, True]
