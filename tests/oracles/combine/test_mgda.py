"""Oracle tests of MGDA (specification 2.4)."""

import pytest
import torch

from gauntlet.pipeline.attacks.combine.gram import gram
from gauntlet.pipeline.attacks.combine.mgda import Mgda, _enumerated, _wolfe
from tests.toys.ensembles import rows, unit_rows


def test_o_mgda_1_kkt_conditions_hold():
    given = rows(4, 300, 12)
    units = unit_rows(given)
    d, weights, _ = Mgda().combine(given)
    inner = torch.einsum("kbn,bn->bk", units, d)
    square = d.square().sum(1, keepdim=True)
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(1), torch.ones(300, dtype=torch.float64))
    assert (inner >= square - 1e-10).all()
    slack = (inner - square) * (weights > 1e-9)
    assert slack.abs().max() < 1e-10


@pytest.mark.parametrize("k", [2, 3, 5, 7])
def test_mgda_wolfe_agrees_with_enumeration(k):
    units = unit_rows(rows(k, 40, 6, seed=k))
    matrix = gram(units)
    wolfe = torch.stack([_wolfe(single) for single in matrix])
    enumerated = _enumerated(matrix)
    one, other = (torch.einsum("bi,bij,bj->b", w, matrix, w) for w in (wolfe, enumerated))
    assert torch.allclose(one, other, atol=1e-10)


def test_mgda_beyond_enumeration_still_satisfies_kkt():
    given = rows(12, 10, 40)
    d, weights, _ = Mgda().combine(given)
    inner = torch.einsum("kbn,bn->bk", unit_rows(given), d)
    assert (inner >= d.square().sum(1, keepdim=True) - 1e-9).all()
    assert (weights >= 0).all()


def test_mgda_agrees_with_torchjd():
    torchjd = pytest.importorskip("torchjd.aggregation")
    given = rows(4, 5, 12)  # few: theirs takes 20,000 steps each
    units = unit_rows(given)
    oracle_rule = torchjd.MGDA(epsilon=1e-12, max_iters=20_000)
    d = Mgda().combine(given)[0]
    for example in range(5):
        # Frank-Wolfe converges like 1/t; the objective is what it minimises.
        theirs = oracle_rule(units[:, example])
        assert float(d[example].norm()) <= float(theirs.norm()) + 1e-12
        assert torch.allclose(d[example], theirs, atol=2e-3)


def test_mgda_at_a_pareto_point_stays_and_duplicates_do_no_harm():
    one = rows(1, 3, 10)
    assert Mgda().combine(torch.cat([one, -one]))[0].abs().max() < 1e-12
    d, weights, _ = Mgda().combine(torch.cat([one, one, one]))
    assert torch.allclose(d, unit_rows(one)[0])
    assert torch.allclose(weights.sum(1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("k", [2, 9], ids=["enumerated", "wolfe"])
def test_a_zero_gradient_has_no_weight_in_mgda_and_stops_nobody(k):
    base = unit_rows(rows(k, 2, 50))
    zero = torch.cat([base[:1], torch.zeros_like(base[:1]), base[1:]])
    zero[1, 1] = base[0, 1]  # only the first example has a zero gradient
    d, weights, _ = Mgda().combine(zero)
    alone, among, _ = Mgda().combine(base)
    assert weights[0, 1] == 0
    assert torch.allclose(d[0], alone[0], atol=1e-12)
    assert torch.allclose(weights[0, [0, *range(2, k + 1)]], among[0], atol=1e-12)
    assert torch.allclose(d[1], alone[1], atol=1e-9)
    nothing, weights, _ = Mgda().combine(torch.zeros_like(base))
    assert not nothing.any()
    assert not weights.any()
