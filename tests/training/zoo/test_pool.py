from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.progress import Silent
from gauntlet.pipeline.training.zoo.augment import batch, batch_draws, move
from gauntlet.pipeline.training.zoo.interrupted import Interrupted
from gauntlet.pipeline.training.zoo.pool import open_pool
from tests.toys.faces import patterns, small_pool, small_recipe


def test_the_pool_holds_what_is_rendered(tmp_path: Path) -> None:
    pool = small_pool(tmp_path, first=100, identities=70, shots=3)
    assert (pool.identities, pool.shots) == (70, 3)
    rows, shots = torch.tensor([0, 69, 64, 5]), torch.tensor([2, 0, 1, 1])
    assert torch.equal(pool.pictures(rows, shots), patterns(100 + rows, shots))


def test_rendering_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    whole = small_pool(tmp_path / "whole", identities=130, shots=2).faces.clone()
    path = next((tmp_path / "whole").iterdir())
    other = tmp_path / "cut" / path.name
    other.parent.mkdir()
    # Ten people and a half.
    other.write_bytes(path.read_bytes()[: 21 * 3 * 48 * 48])
    rendered: list[int] = []

    def counted(identities: Tensor, shots: Tensor) -> Tensor:
        rendered.extend(identities.unique().tolist())
        return patterns(identities, shots)

    pool = open_pool(other.parent, first=0, identities=130, shots=2, progress=Silent(),
                     render=counted)  # fmt: skip
    assert torch.equal(pool.faces, whole)
    assert rendered == [0, *range(10, 130)]


def test_a_larger_pool_serves_a_smaller_one(tmp_path: Path) -> None:
    whole = small_pool(tmp_path, identities=9)
    assert torch.equal(small_pool(tmp_path, identities=4).faces, whole.faces[:4])


def test_asked_to_stop_while_rendering(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="stopped after 64 of 100 people"):
        open_pool(tmp_path, first=0, identities=100, shots=1, progress=Silent(), render=patterns,
                  stopped=lambda: True)  # fmt: skip
    assert torch.equal(
        small_pool(tmp_path, identities=100, shots=1).faces[:, 0],
        patterns(torch.arange(100), torch.zeros(100, dtype=torch.int64)),
    )


def test_faces_of_another_renderer_are_refused(tmp_path: Path) -> None:
    small_pool(tmp_path)
    with pytest.raises(BadInput, match="rendered by another version; remove the file"):
        open_pool(tmp_path, first=0, identities=8, shots=4, progress=Silent(),
                  render=lambda identities, shots: patterns(identities + 1, shots))  # fmt: skip


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="name another --cache"):
        small_pool(tmp_path / "file" / "cache")


def test_move_by_hand() -> None:
    picture = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    moved = move(picture, torch.tensor([[1, -2], [0, 1]]), torch.tensor([False, True]))
    expected = picture[0][:, [1, 2, 3, 3]][:, :, [0, 0, 0, 1]]
    assert torch.equal(moved[0], expected)
    assert torch.equal(moved[1], picture[1][:, :, [1, 2, 3, 3]].flip(2))


def test_batches_depend_on_recipe_and_step_alone(tmp_path: Path) -> None:
    pool, recipe = small_pool(tmp_path), small_recipe()
    images, identities = batch(recipe, pool, batch_draws(recipe, 3))
    torch.rand(5)
    again, _ = batch(recipe, pool, batch_draws(recipe, 3))
    later, _ = batch(recipe, pool, batch_draws(recipe, 4))
    assert torch.equal(images, again)
    assert not torch.equal(images, later)
    assert images.shape == (8, 3, 48, 48)
    assert 0 <= images.min() < images.max() <= 1
    assert identities.unique().numel() > 2
