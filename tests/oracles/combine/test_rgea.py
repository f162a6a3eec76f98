"""Oracle tests of RGEA (specification 2.4)."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet.pipeline.attacks.combine.ens import EnsLoss
from gauntlet.pipeline.attacks.combine.mgda import Mgda
from gauntlet.pipeline.attacks.combine.rgea import Rgea
from tests.toys.ensembles import rows, unit_rows
from tests.toys.surrogates import (
    images,
    linear,
    recipe,
    run_float,
    scalar_batch,
    vectors,
)


def test_o_rgea_1_equal_inner_products():
    given = rows(5, 50, 40)
    units = unit_rows(given)
    d, weights, fallback = Rgea().combine(given)
    inner = torch.einsum("kbn,bn->kb", units, d)
    assert torch.allclose(inner, torch.ones_like(inner), atol=1e-11)
    assert torch.allclose(d.square().sum(1), weights.sum(1), atol=1e-11)
    cosine = inner / d.norm(dim=1)
    assert torch.allclose(cosine, weights.sum(1).rsqrt().expand(5, -1), atol=1e-11)
    for example in range(50):
        expected = torch.linalg.pinv(units[:, example]) @ torch.ones(5, dtype=torch.float64)
        assert torch.allclose(d[example], expected, atol=1e-10)
    assert fallback is not None
    assert not fallback.any()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-6, 4), min_size=4, max_size=4), st.permutations(range(4)))
def test_o_rgea_2_invariant_to_loss_scales_and_order(exponents, order):
    given = rows(4, 6, 30)
    scales = torch.tensor([10.0**e for e in exponents], dtype=torch.float64)
    d = Rgea().combine(given)[0]
    assert torch.allclose(d, Rgea().combine(given * scales[:, None, None])[0], atol=1e-11)
    assert torch.allclose(d, Rgea().combine(given[list(order)])[0], atol=1e-11)


def test_o_rgea_3_copies_change_nothing_where_ens_turns():
    given = rows(3, 6, 30)
    more = torch.cat([given, 7 * given[:1], 0.2 * given[:1]])
    d, weights, _ = Rgea().combine(given)
    d_more, weights_more, _ = Rgea().combine(more)
    assert torch.allclose(d, d_more, atol=1e-11)
    shared = weights_more[:, [0, 3, 4]].sum(1)
    assert torch.allclose(shared, weights[:, 0], atol=1e-11)
    ens = F.cosine_similarity(EnsLoss().combine(given)[0], EnsLoss().combine(more)[0])
    assert (ens < 0.999).all()


def test_o_rgea_4_and_mgda_2_positive_weights_give_mgda():
    given = rows(3, 60, 12)
    d, weights, _ = Rgea().combine(given)
    positive = (weights > 0).all(1)
    assert positive.sum() > 30
    other = Mgda().combine(given)[0]
    expected = d / weights.sum(1, keepdim=True)
    assert torch.allclose(other[positive], expected[positive], atol=1e-10)


def test_o_rgea_5_agrees_with_torchjd_imtlg():
    torchjd = pytest.importorskip("torchjd.aggregation")
    given = rows(4, 30, 20)
    units = unit_rows(given)
    d, weights, _ = Rgea().combine(given)
    for example in range(30):
        theirs = torchjd.IMTLG()(units[:, example])
        assert torch.allclose(theirs, d[example] / weights[example].sum(), atol=1e-9)


def test_o_rgea_6_inconsistent_system_is_solved_in_the_least_squares_sense():
    units = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-0.28, 0.96]], dtype=torch.float64)
    d = Rgea().combine(units[:, None])[0][0]
    expected = units @ torch.linalg.pinv(units) @ torch.ones(3, dtype=torch.float64)
    assert torch.allclose(units @ d, expected, atol=1e-12)
    assert not torch.allclose(units @ d, torch.ones(3, dtype=torch.float64), atol=1e-3)


def test_rgea_pitfalls_near_duplicates_opposites_and_zero_rows():
    base = unit_rows(rows(2, 1, 50))
    near = unit_rows(base[:1] + 1e-4 * rows(1, 1, 50, seed=3))
    _, weights, _ = Rgea().combine(torch.cat([base[:1], near, base[1:]]))
    assert weights.abs().max() < 2  # without the cut-off they explode
    opposed = torch.cat([base[:1], -base[:1]])
    d, weights, fallback = Rgea().combine(opposed)
    assert fallback is not None
    assert fallback.all()
    assert torch.isfinite(d).all()
    zero = torch.cat([base, torch.zeros_like(base[:1])])
    d, weights, _ = Rgea().combine(zero)
    assert abs(float(weights[0, 2])) < 1e-15
    assert torch.allclose(d, Rgea().combine(base)[0], atol=1e-12)


def test_rgea_falls_back_to_ens_l2_and_the_trace_says_so():
    weights = vectors(1)[0]
    nets = [linear(weights), linear(-2 * weights)]
    result = run_float(recipe(combine="rgea", steps=2), scalar_batch(images(3)), nets)
    assert result.trace.fallback.all()
    ens = run_float(recipe(combine="ens-l2", steps=2), scalar_batch(images(3)), nets)
    assert torch.allclose(result.images, ens.images, atol=1e-14)
