"""Oracle tests of specification 2.3: SI, DI, TI, VR and their combinations."""

import pytest
import torch
import torch.nn.functional as F

from gauntlet.pipeline.attacks.filters.ti import TranslationInvariance, gaussian_line
from gauntlet.pipeline.attacks.messages import Question, Setting
from gauntlet.pipeline.attacks.recipe import Attack
from gauntlet.pipeline.attacks.views.di import InputDiversity
from gauntlet.pipeline.draws import Draws
from tests.toys.surrogates import (
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


def gradient(attack: Attack, batch, module, step: int = 0):
    """The answer of one surrogate to an attack's query at the clean images."""
    query = attack.method(batch.goal, batch.images[0].numel()).query
    setting = Setting(batch, query, 0, attack.label, step)
    return oracle(module).gradients(setting, [Question(0, batch.images)])[0]


@pytest.mark.parametrize(
    ("base", "options"),
    [
        ("si", {"si": {"m": 1}}),
        ("di", {"di": {"p": 0}}),
        ("ti", {"ti": {"kernel": 1}}),
        ("vr", {"vr": {"sigma": 0, "m": 1}}),
    ],
)
def test_o_si_1_di_1_ti_1_vr_1_degenerate_cases_are_the_base(base, options):
    batch, net = class_batch(images(4)), SmallNet(0)
    plain = run_float(Attack(steps=5), batch, [net]).images
    assert torch.equal(
        plain, run_float(Attack(base=base, steps=5, options=options), batch, [net]).images
    )


def test_vr_without_noise_averages_equal_gradients():
    batch, net = class_batch(images(4)), SmallNet(0)
    plain = gradient(Attack(), batch, net).gradient
    averaged = gradient(Attack(base="vr", options={"vr": {"sigma": 0, "m": 3}}), batch, net)
    assert torch.allclose(plain, averaged.gradient, atol=1e-14)


@pytest.mark.parametrize("pivot", [0, 0.5])
def test_o_si_2_quadratic(pivot):
    clean, centre = images(3), images(1, seed=5)[0]
    attack = recipe(base="si", options={"si": {"m": 4, "pivot": pivot}})
    found = gradient(attack, scalar_batch(clean), quadratic(centre)).gradient
    expected = sum(0.5**i * (pivot + (clean - pivot) * 0.5**i - centre) for i in range(4)) / 4
    assert torch.allclose(found, expected, atol=1e-15)


def test_o_si_3_linear_direction_is_unchanged():
    weights = vectors(1)[0]
    found = gradient(recipe(base="si"), scalar_batch(images(2)), linear(weights)).gradient
    cosine = F.cosine_similarity(found.flatten(1), weights.flatten()[None])
    assert torch.allclose(cosine, torch.ones(2, dtype=torch.float64), atol=1e-14)


@pytest.mark.parametrize("preset", ["shrink", "enlarge"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_o_di_2_a_draw_is_linear_and_its_gradient_the_adjoint(preset, interpolation):
    clean, cotangent, other = images(6), vectors(1)[0], vectors(6, seed=7)
    part = {"p": 1, "preset": preset, "interpolation": interpolation}
    attack = recipe(base="di", options={"di": part})
    batch = scalar_batch(clean)
    found = gradient(attack, batch, linear(cotangent)).gradient
    draws = Draws.keyed(0, names(6), attack=attack.label, step=0, model="m0")
    view = InputDiversity(**part)

    def apply(x):
        return view.apply(x, (0,), draws)

    assert torch.allclose(apply(clean + 2 * other), apply(clean) + 2 * apply(other), atol=1e-13)
    left = (found * other).flatten(1).sum(1)
    right = (apply(other) * cotangent).flatten(1).sum(1)
    assert torch.allclose(left, right, atol=1e-12)
    assert not torch.equal(apply(clean), clean)


def test_di_draws_differ_by_example_step_and_model_and_can_be_shared():
    view = InputDiversity(p=1)
    same = images(1, shape=(3, 32, 32)).expand(6, -1, -1, -1)
    draws = Draws.keyed(0, names(6), attack="a", step=0, model="m")
    moved = view.apply(same, (0,), draws)
    assert len({moved[i].numpy().tobytes() for i in range(6)}) > 3
    later = view.apply(same, (0,), Draws.keyed(0, names(6), attack="a", step=1, model="m"))
    assert not torch.equal(moved, later)
    batch, net = class_batch(images(4, shape=(3, 32, 32))), SmallNet(0)
    for shared in (True, False):
        attack = Attack(base="di", options={"di": {"p": 1, "shared": shared}})
        query = attack.method(batch.goal, 3 * 32 * 32).query
        setting = Setting(batch, query, 0, attack.label, 0)
        both = oracle(net, net).gradients(setting, [Question(i, batch.images) for i in (0, 1)])
        assert torch.equal(both[0].gradient, both[1].gradient) is shared


def test_trap_09_di_presets_are_explicit():
    assert (InputDiversity().low, InputDiversity().high) == (0.9, 1.0)
    enlarge = InputDiversity(preset="enlarge")
    assert (enlarge.low, enlarge.high) == (1.0, 1.1)
    with pytest.raises(ValueError, match="shrink needs low < high = 1"):
        InputDiversity(low=1.0, high=1.2)
    # A third of the shrunk sizes must leave no padding on a side: no exclusive bounds.
    draws = Draws.keyed(0, names(4000), attack="a")
    view = InputDiversity(p=1)
    white = torch.ones(4000, 3, 10, 10, dtype=torch.float64)
    shrunk = view.apply(white, (0,), draws)
    assert {int(n) for n in (shrunk[:, 0] > 0.999).flatten(1).sum(1)} == {81, 100}
    corners = {tuple(map(bool, (s[0, 0, 0] > 0, s[0, -1, -1] > 0))) for s in shrunk}
    assert {(True, False), (False, True), (True, True)} <= corners


@pytest.mark.parametrize(("size", "sigma"), [(7, 1.0), (15, 7 / 3), (5, 2 / 3)])
def test_o_ti_2_impulse_response_is_the_kernel_of_the_code(size, sigma):
    impulse = torch.zeros(1, 3, 31, 31, dtype=torch.float64)
    impulse[:, :, 15, 15] = 1
    response = TranslationInvariance(kernel=size).apply(impulse)[0, 0]
    reach = torch.arange(-(size // 2), size // 2 + 1).double()
    line = torch.exp(-reach.square() / (2 * sigma**2))
    kernel = torch.outer(line, line) / line.sum() ** 2
    half = size // 2
    inside = response[15 - half : 16 + half, 15 - half : 16 + half]
    assert torch.allclose(inside, kernel, atol=1e-16)
    assert float(response.sum()) == pytest.approx(1)


def test_o_ti_3_circular_filter_is_a_sum_of_rolls():
    given = vectors(2)
    line = gaussian_line(5, torch.float64, torch.device("cpu"))
    shifts = [(i, j) for i in range(5) for j in range(5)]
    rolls = [line[i] * line[j] * given.roll((i - 2, j - 2), (2, 3)) for i, j in shifts]
    expected = torch.stack(rolls).sum(0)
    found = TranslationInvariance(kernel=5, padding="circular").apply(given)
    assert torch.allclose(found, expected, atol=1e-15)


def test_ti_zero_padding_shrinks_the_border():
    flat = torch.ones(1, 3, 32, 32, dtype=torch.float64)
    corner = TranslationInvariance(kernel=7).apply(flat)[0, 0, 0, 0]
    assert float(corner) == pytest.approx(0.489, abs=5e-4)  # specification 2.3


def test_o_vr_2_quadratic_with_antithetic_noise_is_exact():
    # Mean over the noise of a linear gradient: the noise's own mean is all that is left.
    clean, centre = images(2), images(1, seed=5)[0]
    attack = recipe(base="vr", options={"vr": {"m": 6}})
    batch = scalar_batch(clean)
    found = gradient(attack, batch, quadratic(centre)).gradient
    draws = Draws.keyed(0, batch.ids, attack=attack.label, step=0, model="m0")
    noise = sum(draws.normal(f"vr/{(j,)}", (3, 8, 8), dtype=torch.float64) for j in range(6)) / 6
    assert torch.allclose(found - 15 / 255 * noise, clean - centre, atol=1e-14)


def test_o_vr_3_cubic():
    from tests.toys.surrogates import Scalar

    clean = torch.full((1, 3, 16, 16), 0.5, dtype=torch.float64)
    attack = recipe(base="vr", options={"vr": {"m": 200, "sigma": 1.0}})
    cubic = Scalar(lambda x: x.pow(3).flatten(1).sum(1))
    mean = gradient(attack, scalar_batch(clean), cubic).gradient
    expected = 3 * 0.25 + 3
    error = mean.std() / mean.numel() ** 0.5
    assert float((mean.mean() - expected).abs()) < 4 * float(error)


def test_views_are_split_over_passes_without_changing_the_gradient():
    from gauntlet.pipeline.oracle import InProcessOracle
    from tests.toys.surrogates import as_model

    batch, net = class_batch(images(4)), SmallNet(0)
    attack = Attack(base="vr-si-di", options={"vr": {"m": 3}, "si": {"m": 2}})
    query = attack.method(batch.goal, batch.images[0].numel()).query
    assert len(query.copies) == 6
    setting = Setting(batch, query, 0, attack.label, 0)
    found = [
        InProcessOracle([as_model(net, 0)], rows_per_pass=rows).gradients(
            setting, [Question(0, batch.images)]
        )[0]
        for rows in (1, 8, 1000)
    ]
    for other in found[1:]:
        assert torch.allclose(found[0].gradient, other.gradient, atol=1e-14)
        assert torch.allclose(found[0].values, other.values, atol=1e-14)


@pytest.mark.parametrize("base", ["di-ti-mi", "si-di", "ti+di", "vr-mi", "pgd-di-ti-ni-si"])
@pytest.mark.parametrize("combine", ["ens", "rgea", "svre", "ens-logits"])
def test_every_combination_raises_the_objective(base, combine):
    batch, nets = class_batch(images(4, shape=(3, 16, 16))), [SmallNet(0), SmallNet(1)]
    attack = Attack(
        base=base,
        combine=combine,
        steps=4,
        epsilon="16/255",
        options={"vr": {"m": 3}} if "vr" in base else {},
    )
    assert batch.labels is not None
    found = run_float(attack, batch, nets).images
    for net in nets:
        before = F.cross_entropy(net(batch.images), batch.labels, reduction="none")
        after = F.cross_entropy(net(found), batch.labels, reduction="none")
        assert (after > before).float().mean() >= 0.75
