"""Lengths, Gram matrices and weighted sums against float64 copies of all gradients."""

import pytest
import torch
import torch.nn.functional as F

from gauntlet import Attack
from gauntlet.pipeline.attacks.combine.gram import Units, gram, mean, weighted_sum
from gauntlet.pipeline.attacks.combine.mgda import Mgda
from gauntlet.pipeline.attacks.combine.rgea import Rgea, least_squares_weights
from gauntlet.pipeline.norms import CHUNK, l2
from tests.toys.surrogates import SmallNet, class_batch, images, run_float


def gradients(k, examples, size, alike=0.0, seed=0):
    """float32 gradients of about the given cosine with each other, and of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(k, examples, size, generator=generator)
    common = torch.randn(1, examples, size, generator=generator)
    mixed = alike**0.5 * common + (1 - alike) ** 0.5 * own
    return mixed * 10.0 ** torch.linspace(-12, 0, k)[:, None, None]


def exact(given):
    units = F.normalize(given.double(), dim=2).transpose(0, 1)
    return units, units @ units.mT


@pytest.mark.parametrize("size", [12, CHUNK, CHUNK + 5, 2 * CHUNK + 100])
@pytest.mark.parametrize("k", [1, 3, 9])
def test_one_pass_gives_what_float64_copies_give(k, size):
    given = gradients(k, 3, size, alike=0.5)
    rows, matrix = exact(given)
    units = Units.of(given)
    torch.testing.assert_close(units.matrix, matrix, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(1 / units.inverse, given.double().norm(dim=2).T, rtol=1e-13, atol=0)
    weights = torch.linspace(-1, 2, 3 * k, dtype=torch.float64).reshape(3, k)
    expected = (weights[:, None] @ rows)[:, 0]
    torch.testing.assert_close(units.sum(weights).double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(l2(given[0]), given[0].norm(dim=1))


@pytest.mark.parametrize("alike", [0.0, 0.9, 0.999])
def test_weights_of_like_gradients_are_those_of_float64_to_1e_12(alike):
    given = gradients(5, 4, 3000, alike)
    _, weights, _ = Rgea().combine(given)
    expected = least_squares_weights(exact(given)[1], 1e-6)
    assert float((weights - expected).abs().max()) < 1e-12 / (1 - alike)
    assert float((Mgda().combine(given)[1] - Mgda().combine(given.double())[1]).abs().max()) < 1e-12


def test_an_example_depends_neither_on_its_batch_nor_on_the_threads():
    threads = torch.get_num_threads()
    given = gradients(20, 7, 5000)
    try:
        found = []
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            for size in (1, 2, 3, 7):
                parts = [given[:, row : row + size] for row in range(0, 7, size)]
                matrix = torch.cat([gram(part) for part in parts])
                weights = torch.ones(7, 20, dtype=torch.float64)
                combined = torch.cat([weighted_sum(weights[:size], part) for part in parts[:1]])
                found.append((matrix, combined[:1]))
    finally:
        torch.set_num_threads(threads)
    for matrix, combined in found[1:]:
        assert torch.equal(matrix, found[0][0])
        assert torch.equal(combined, found[0][1])


def test_a_gradient_near_the_end_of_float32_is_a_direction_like_any_other():
    plain = gradients(3, 2, 4000, alike=0.3, seed=2) * torch.tensor([1e12, 1e6, 1.0])[:, None, None]
    scales = torch.tensor([1.0, 1e-30, 1e-37])[:, None, None]
    expected, weights, _ = Rgea().combine(plain)
    direction, faint, fallback = Rgea().combine(plain * scales)
    torch.testing.assert_close(faint, weights, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(direction, expected, rtol=1e-4, atol=1e-5)
    assert fallback is not None
    assert not fallback.any()


def test_a_gradient_of_zeros_is_no_nan_and_has_no_part_in_any_sum():
    given = gradients(3, 2, 50)
    given[1, 0] = 0
    units = Units.of(given)
    assert units.inverse[0, 1] == 0
    assert not units.matrix[0, 1].any()
    assert not units.matrix[0, :, 1].any()
    assert (units.matrix.diagonal(dim1=1, dim2=2) == torch.tensor([[1, 0, 1], [1, 1, 1]])).all()
    assert not units.rows(0)[1].any()
    few, many = torch.ones(2, 3), torch.tensor([[1, 5, 1], [1, 1, 1]])
    assert torch.equal(units.sum(few), units.sum(many))


def test_torchjd_gets_the_exact_matrix_and_its_weights_are_in_the_trace():
    batch = class_batch(images(3)).to("cpu", torch.float32)
    nets = [SmallNet(0).float(), SmallNet(0, gain=0.3).float(), SmallNet(1).float()]
    given = {"steps": 1, "base": "i"}
    ours = run_float(Attack(combine="rgea", **given), batch, nets)
    theirs = run_float(Attack(combine="torchjd/imtlg", **given), batch, nets)
    assert torch.allclose(theirs.images, ours.images, atol=1e-6)
    share = ours.trace.weights / ours.trace.weights.sum(2, keepdim=True)
    torch.testing.assert_close(theirs.trace.weights, share, rtol=1e-4, atol=1e-4)
    trimmed = {"torchjd": {"arguments": {"trim_number": 1}}}
    sorts = Attack(combine="torchjd/trimmedmean", options=trimmed, **given)
    unknown = run_float(sorts, batch, nets)
    assert unknown.trace.weights.isnan().all()
    assert (unknown.images != batch.images).any()


@pytest.mark.parametrize("k", [5, 20])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_an_example_s_mean_does_not_depend_on_its_batch(k, dtype):
    given = gradients(k, 7, 75, seed=4)
    given = given / given.abs().amax(2, keepdim=True)
    given = given.to(dtype)
    together = mean(given)
    assert torch.equal(together, torch.cat([mean(given[:, row : row + 1]) for row in range(7)]))
    torch.testing.assert_close(together, given.double().mean(0).to(dtype))
