"""The grid of perturbation units."""

import pytest
import torch

from gauntlet.pipeline.interactions import Grid


def test_round_borders_cover_the_image():
    labels = Grid(16, 16).labels(299, 299)
    down = labels[:, 0] // 16
    sizes = torch.bincount(down)
    assert labels.min() == 0
    assert labels.max() == 255
    assert set(sizes.tolist()) == {18, 19}
    starts = [int((down == i).nonzero()[0]) for i in range(16)]
    assert starts == [int(i * 299 / 16 + 0.5) for i in range(16)]


def test_floor_borders_leave_the_rest_of_299_pixels_to_no_cell():
    labels = Grid(16, 16, "floor").labels(299, 299)
    assert (labels[:288, :288] >= 0).all()
    assert (labels[288:] == -1).all()
    assert (labels[:, 288:] == -1).all()
    assert set(torch.bincount(labels[:288, :288].flatten()).tolist()) == {18 * 18}


@pytest.mark.parametrize("borders", ["round", "floor"])
def test_both_agree_where_the_grid_divides_the_image(borders):
    labels = Grid(2, 3, borders).labels(4, 9)
    assert labels.tolist() == [[0] * 3 + [1] * 3 + [2] * 3] * 2 + [[3] * 3 + [4] * 3 + [5] * 3] * 2
    assert Grid(2, 3, borders).covers(4, 9)


def test_no_cell_is_ever_empty():
    for pixels in range(1, 40):
        for cells in range(1, pixels + 1):
            for borders in ("round", "floor"):
                labels = Grid(1, cells, borders).labels(1, pixels)
                assert set(range(cells)) <= set(labels.flatten().tolist())
                assert Grid(1, cells, borders).covers(1, pixels) == (labels.min() >= 0)


def test_masks_hold_the_pixels_of_the_set():
    grid = Grid(3, 2, "floor")
    sets = torch.rand(4, 5, 6, generator=torch.Generator().manual_seed(0)) < 0.5
    masks = grid.masks(sets, 7, 5, torch.float32, "cpu")
    assert masks.shape == (4, 5, 1, 7, 5)
    assert masks.dtype == torch.float32
    labels = grid.labels(7, 5)
    for row in range(7):
        for column in range(5):
            cell = int(labels[row, column])
            inside = sets[..., cell] if cell >= 0 else torch.zeros(4, 5)
            assert torch.equal(masks[..., 0, row, column], inside.float())


def test_a_caller_cannot_change_the_labels_of_the_next():
    Grid(2, 2).labels(4, 4).fill_(7)
    assert Grid(2, 2).labels(4, 4).max() == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Grid(0, 4), "at least one row"),
        (lambda: Grid(2, 2, "ceil"), "'round' or 'floor'"),  # type: ignore[arg-type]
        (lambda: Grid(5, 2).labels(4, 4), "coarser grid"),
        (lambda: Grid(2, 5).labels(4, 4), "coarser grid"),
        (lambda: Grid(3, 2).labels(4, 4, exact=True), "divides"),
        (lambda: Grid(2, 2).masks(torch.ones(3, 4), 4, 4, torch.bool, "cpu"), "must be bool"),
        (
            lambda: Grid(2, 2).masks(torch.ones(3, 5).bool(), 4, 4, torch.bool, "cpu"),
            "must be bool",
        ),
    ],
)
def test_bad_grids_and_sets_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_exact_accepts_a_grid_that_divides_the_image():
    assert Grid(2, 2).labels(4, 6, exact=True).shape == (4, 6)
