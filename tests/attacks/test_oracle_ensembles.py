"""Oracle tests of specification 1 and 2.4: Ens, Ens-l2, SVRE, MGDA, RGEA, TorchJD."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from gauntlet import Batch, Goal
from gauntlet.pipeline.attacks.combine.ens import EnsL2, EnsLoss
from gauntlet.pipeline.attacks.combine.gram import gram
from gauntlet.pipeline.attacks.combine.mgda import Mgda, _enumerated, _wolfe
from gauntlet.pipeline.attacks.combine.rgea import Rgea
from gauntlet.pipeline.attacks.combine.torchjd import aggregator_names
from gauntlet.pipeline.attacks.filters.translation import TranslationInvariance
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.draws import Draws
from tests.attacks.toys import (
    Scalar,
    SmallNet,
    class_batch,
    images,
    linear,
    names,
    oracle,
    quadratic,
    recipe,
    run_float,
    scalar_batch,
    vectors,
)

NETS = [SmallNet(0), SmallNet(1), SmallNet(2)]
FUSIONS = ["ens", "ens-logits", "ens-probabilities"]


def rows(k: int, examples: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(k, examples, size, generator=generator, dtype=torch.float64)


def unit_rows(given: torch.Tensor) -> torch.Tensor:
    return F.normalize(given, dim=2)


def direction(combine: str, batch, modules, **fields):
    from gauntlet.pipeline.attacks.ask import Ask
    from gauntlet.pipeline.attacks.step import Step

    attack = Attack(combine=combine, **fields)
    method = attack.method(batch.goal, batch.images[0].numel())
    setting = Setting(batch, method.query, 0, attack.label, 0)
    ask = Ask(oracle(*modules), range(len(modules)), setting)
    step = Step(method.ball, batch.images, method.step_size, method.normalise)
    return method.rule.direction(batch.images, ask, step)


def gradients_of(batch, modules):
    found = []
    for net in modules:
        x = batch.images.clone().requires_grad_()
        F.cross_entropy(net(x), batch.labels, reduction="sum").backward()
        found.append(x.grad)
    return torch.stack(found)


# -- fusion ------------------------------------------------------------------------------------


def test_o_1_1_probability_fusion_is_a_weighted_sum_and_logit_fusion_a_shared_cotangent():
    batch = class_batch(images(5))
    single = gradients_of(batch, NETS)
    with torch.no_grad():
        outputs = torch.stack([net(batch.images) for net in NETS])
    right = outputs.softmax(-1).gather(2, batch.labels.expand(3, -1)[..., None])[..., 0]
    weights = right / right.sum(0)
    expected = (weights[:, :, None, None, None] * single).sum(0)
    assert torch.allclose(
        direction("ens-probabilities", batch, NETS).direction, expected, atol=1e-13
    )

    x = batch.images.clone().requires_grad_()
    mean = torch.stack([net(x) for net in NETS]).mean(0)
    F.cross_entropy(mean, batch.labels, reduction="sum").backward()
    assert torch.allclose(direction("ens-logits", batch, NETS).direction, x.grad, atol=1e-13)


@pytest.mark.parametrize("combine", FUSIONS)
def test_o_ens_1_copies_of_one_model_give_its_gradient(combine):
    batch = class_batch(images(4))
    copies = [SmallNet(0), SmallNet(0), SmallNet(0)]
    found = direction(combine, batch, copies).direction
    assert torch.allclose(found, gradients_of(batch, copies[:1])[0], atol=1e-13)


@pytest.mark.parametrize("combine", [*FUSIONS, "svre"])
def test_o_ens_2_one_model_is_the_base(combine):
    batch = class_batch(images(4))
    base = "mi"
    options = {"svre": {"inner": 1}} if combine == "svre" else {}
    found = run_float(Attack(base=base, combine=combine, steps=5, options=options), batch, NETS[:1])
    plain = run_float(Attack(base=base, steps=5), batch, NETS[:1])
    assert torch.allclose(found.images, plain.images, atol=1e-12)


def test_o_1_2_ti_commutes_with_uniform_fusion_but_not_with_rgea():
    given = rows(4, 2, 3 * 16 * 16)
    smooth = TranslationInvariance(kernel=7)

    def filtered(flat):
        return smooth.apply(flat.reshape(-1, 3, 16, 16)).reshape(flat.shape)

    for rule, equal in ((EnsLoss(), True), (Rgea(), False)):
        before = filtered(rule.combine(given)[0][None])[0]
        after = rule.combine(filtered(given))[0]
        assert torch.allclose(before, after, atol=1e-13) is equal


def test_fusions_work_with_views_of_several_copies():
    batch = class_batch(images(3))
    x = batch.images.clone().requires_grad_()
    total = 0
    for i in range(3):
        mean = torch.stack([net(x / 2**i) for net in NETS]).mean(0)
        total = total + F.cross_entropy(mean, batch.labels, reduction="sum") / 3
    total.backward()
    found = direction("ens-logits", batch, NETS, base="si", options={"si": {"m": 3}}).direction
    assert torch.allclose(found, x.grad, atol=1e-13)


# -- Ens-l2 ------------------------------------------------------------------------------------


def test_o_ensl2_1_and_rgea_7_one_model_ens_l2_is_rgea():
    batch = class_batch(images(4))
    found = [
        run_float(Attack(combine=combine, steps=5), batch, NETS[:1]).images
        for combine in ("ens-l2", "rgea")
    ]
    assert torch.allclose(*found, atol=1e-12)


@pytest.mark.parametrize("combine", ["ens-l2", "rgea", "mgda"])
def test_o_ensl2_2_the_unclipped_step_has_rms_alpha(combine):
    batch = class_batch(images(4))
    attack = Attack(combine=combine, steps=1, epsilon=1, step_size="1/255")
    delta = run_float(attack, batch, NETS).images - batch.images
    rms = delta.square().mean((1, 2, 3)).sqrt()
    assert torch.allclose(rms, torch.full_like(rms, 1 / 255), rtol=1e-9)


def test_ens_l2_of_unit_gradients_is_another_method():
    given = rows(3, 2, 20) * torch.tensor([1.0, 10.0, 0.1])[:, None, None]
    raw, unit = EnsL2().combine(given)[0], EnsL2(unit=True).combine(given)[0]
    assert torch.allclose(raw, given.mean(0))
    assert torch.allclose(unit, unit_rows(given).mean(0))


# -- SVRE --------------------------------------------------------------------------------------


def test_o_svre_1_one_inner_step_is_ens_mi():
    batch = class_batch(images(5))
    attack = {"base": "mi", "steps": 6}
    found = run_float(
        Attack(combine="svre", options={"svre": {"inner": 1}}, **attack), batch, NETS
    ).images
    assert torch.allclose(found, run_float(Attack(**attack), batch, NETS).images, atol=1e-12)


def test_o_svre_2_linear_losses_do_not_depend_on_the_draws():
    batch = scalar_batch(images(4))
    nets = [linear(v) for v in vectors(3)]
    attack = recipe(base="mi", combine="svre", steps=5)
    ens = run_float(recipe(base="mi", steps=5), batch, nets).images
    for seed in (0, 1):
        assert torch.equal(run_float(attack, batch, nets, seed=seed).images, ens)


def test_o_svre_3_the_estimator_is_unbiased_with_loss_fusion():
    # 24 copies of one image draw their own surrogates; y_1 is the same for all of them, since
    # q_0 = g_ens at y_0 = x. Without momentum the direction is q_1, whose mean over r is asked.
    copies = images(1).expand(24, -1, -1, -1)
    labels = torch.zeros(24, dtype=torch.int64)
    batch = Batch(names(24), copies, Goal.UNTARGETED, labels=labels)
    options = {"svre": {"inner": 2, "momentum": 0, "normalised": False, "beta": "2/255"}}
    attack = Attack(combine="svre", options=options)
    found = direction("svre", batch, NETS, options=options).direction
    draws = Draws.keyed(0, batch.ids, attack=attack.label, step=0, model="rule/svre")
    chosen = draws.integers("surrogate", 0, 3, (2,))[:, 1]
    assert set(chosen.tolist()) == {0, 1, 2}
    mean = sum(found[chosen == r][0] for r in range(3)) / 3
    point = (copies + 2 / 255 * gradients_of(batch, NETS).mean(0).sign())[:1]
    there = Batch(names(1), point, Goal.UNTARGETED, labels=labels[:1])
    assert torch.allclose(mean, gradients_of(there, NETS).mean(0)[0], atol=1e-13)
    biased = {"svre": {**options["svre"], "fusion": "logits", "biased": True}}
    other = direction("svre", batch, NETS, options=biased).direction
    assert not torch.allclose(sum(other[chosen == r][0] for r in range(3)) / 3, mean, atol=1e-3)


def test_o_svre_4_with_one_model_the_inner_steps_follow_its_own_gradient():
    batch, net = class_batch(images(3)), NETS[0]
    options = {"svre": {"inner": 4, "momentum": 0.5, "beta": "1/255", "normalised": False}}
    found = direction("svre", batch, [net], options=options).direction
    point, memory = batch.images, torch.zeros_like(batch.images)
    for _ in range(4):
        there = Batch(batch.ids, point, batch.goal, labels=batch.labels)
        memory = 0.5 * memory + gradients_of(there, [net])[0]
        point = (point + memory.sign() / 255).clamp(batch.images - 8 / 255, batch.images + 8 / 255)
    assert torch.allclose(found, memory, atol=1e-12)


def test_svre_inner_loop_matches_the_algorithm_written_out():
    batch = class_batch(images(3))
    inner, mu2, beta = 5, 0.9, 1 / 255
    options = {"svre": {"inner": inner, "momentum": mu2, "beta": "1/255"}}
    attack = Attack(combine="svre", options=options)
    found = direction("svre", batch, NETS, options=options).direction

    chosen = Draws.keyed(0, batch.ids, attack=attack.label, step=0, model="rule/svre").integers(
        "surrogate", 0, 3, (inner,)
    )
    for row in range(3):
        x, y = batch.images[row : row + 1], batch.labels[row : row + 1]

        def grad(r, at, y=y):
            at = at.clone().requires_grad_()
            F.cross_entropy(NETS[r](at), y).backward()
            return at.grad

        ens = sum(grad(r, x) for r in range(3)) / 3
        point, memory = x, torch.zeros_like(x)
        for m in range(inner):
            r = int(chosen[row, m])
            q = grad(r, point) - grad(r, x) + ens
            memory = mu2 * memory + q / q.abs().mean()
            point = (point + beta * memory.sign()).clamp(x - 8 / 255, x + 8 / 255).clamp(0, 1)
        expected = memory / memory.abs().mean()
        assert torch.allclose(found[row : row + 1], expected, atol=1e-11)


def test_trap_08_svre_deviations_are_flags_with_an_effect():
    batch = class_batch(images(4, shape=(3, 16, 16)))
    variants = [
        {},
        {"normalised": False},
        {"momentum": 0},
        {"inner": 3},
        {"beta": "2/255"},
        {"fusion": "logits", "biased": True},
        {"draws": "pair"},
        {"draws": "separate"},
    ]
    found = [
        run_float(
            Attack(
                base="di-mi", combine="svre", steps=3, options={"svre": variant, "di": {"p": 1}}
            ),
            batch,
            NETS,
        ).images
        for variant in variants
    ]
    for i, one in enumerate(found):
        assert all(not torch.equal(one, other) for other in found[:i]), variants[i]
    with pytest.raises(ValueError, match="biased"):
        Attack(combine="svre", options={"svre": {"fusion": "logits"}})


# -- MGDA --------------------------------------------------------------------------------------


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
    value = [torch.einsum("bi,bij,bj->b", w, matrix, w) for w in (wolfe, enumerated)]
    assert torch.allclose(*value, atol=1e-10)


def test_mgda_beyond_enumeration_still_satisfies_kkt():
    given = rows(12, 10, 40)
    d, weights, _ = Mgda().combine(given)
    inner = torch.einsum("kbn,bn->bk", unit_rows(given), d)
    assert (inner >= d.square().sum(1, keepdim=True) - 1e-9).all()
    assert (weights >= 0).all()


def test_mgda_agrees_with_torchjd():
    torchjd = pytest.importorskip("torchjd.aggregation")
    given = rows(4, 20, 12)
    units = unit_rows(given)
    oracle_rule = torchjd.MGDA(epsilon=1e-12, max_iters=20_000)
    d = Mgda().combine(given)[0]
    for example in range(20):
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


# -- RGEA --------------------------------------------------------------------------------------


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
    assert fallback.all()
    assert torch.isfinite(d).all()
    zero = torch.cat([base, torch.zeros_like(base[:1])])
    d, weights, _ = Rgea().combine(zero)
    assert abs(float(weights[0, 2])) < 1e-15
    assert torch.allclose(d, Rgea().combine(base)[0], atol=1e-12)


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


def test_rgea_falls_back_to_ens_l2_and_the_trace_says_so():
    weights = vectors(1)[0]
    nets = [linear(weights), linear(-2 * weights)]
    result = run_float(recipe(combine="rgea", steps=2), scalar_batch(images(3)), nets)
    assert result.trace.fallback.all()
    ens = run_float(recipe(combine="ens-l2", steps=2), scalar_batch(images(3)), nets)
    assert torch.allclose(result.images, ens.images, atol=1e-14)


# -- TorchJD -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["upgrad", "mgda", "imtlg", "alignedmtl", "dualproj", "pcgrad"])
def test_torchjd_aggregators_are_rules_and_ascend(name):
    batch = class_batch(images(3))
    attack = Attack(combine=f"torchjd/{name}", steps=3)
    found = run_float(attack, batch, NETS).images
    again = run_float(attack, batch, NETS).images
    assert torch.equal(found, again)
    for net in NETS:
        before = F.cross_entropy(net(batch.images), batch.labels)
        assert F.cross_entropy(net(found), batch.labels) > before


def test_torchjd_imtlg_is_rgea_up_to_scale():
    batch = class_batch(images(3))
    a = run_float(Attack(combine="torchjd/imtlg", steps=3), batch, NETS).images
    b = run_float(Attack(combine="rgea", steps=3), batch, NETS).images
    assert torch.allclose(a, b, atol=1e-7)


def test_torchjd_arguments_and_unknown_names():
    assert "UPGrad" in aggregator_names()
    attack = Attack(combine="torchjd/cagrad", options={"torchjd": {"arguments": {"c": 0.5}}})
    assert (attack.rule.aggregator, attack.rule.arguments) == ("CAGrad", {"c": 0.5})
    assert Attack.model_validate_json(attack.model_dump_json()).rule == attack.rule
    with pytest.raises(ValueError, match="unknown aggregator 'upgradd'; did you mean 'UPGrad'"):
        Attack(combine="torchjd/upgradd")


def test_a_nonlinear_scalar_ensemble_is_answered_per_model():
    clean = images(2)
    nets = [quadratic(images(1, seed=i)[0]) for i in range(3)]
    setting_batch = scalar_batch(clean)
    attack = recipe()
    query = attack.method(setting_batch.goal, 192).query
    setting = Setting(setting_batch, query, 0, "a", 0)
    answers = oracle(*nets).gradients(setting, [Question(i, clean) for i in range(3)])
    for i, answer in enumerate(answers):
        assert torch.allclose(answer.gradient, clean - images(1, seed=i)[0], atol=1e-15)
    assert isinstance(nets[0], Scalar)
