"""The library's calls: any user's models and images, which stay as they were."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gauntlet import Attack, Goal, adapt, attack, gradient_cosines
from tests.toys.surrogates import SmallNet, images

EPS = 1 / 255
CLEAN = images(6).float()
LABELS = torch.arange(6) % 4
RECIPE = Attack(base="mi", epsilon=EPS, steps=4)


def net(seed: int = 0) -> nn.Sequential:
    """Convolutions, batch norm with statistics of its own, and a linear layer."""
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Softplus(), nn.Conv2d(8, 8, 3)]
    made = nn.Sequential(*layers, nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4))
    for value in (*made.parameters(), *made.buffers()):
        drawn = torch.rand(value.shape, generator=generator)
        if value.ndim > 1:
            value.data = (2 * drawn - 1) / value[0].numel() ** 0.5
        elif value.ndim:
            value.data = 0.25 + drawn / 4
    return made.eval()


class Counting(TorchFunctionMode):
    """Counts how often batch norm is computed."""

    def __init__(self) -> None:
        self.norms = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.norms += func is nn.functional.batch_norm
        return func(*args, **(kwargs or {}))


def snapshot(module: nn.Module) -> list[Any]:
    tensors = [*module.parameters(), *module.buffers()]
    return [
        [(id(v), v._version, v.stride(), v.requires_grad, v.grad, v.clone()) for v in tensors],
        [(id(part), part.training, dict(part._forward_hooks)) for part in module.modules()],
    ]


def same(one: list[Any], other: list[Any]) -> bool:
    flat = [[*rows[:5]] for rows in one[0]] == [[*rows[:5]] for rows in other[0]]
    values = all(torch.equal(a[5], b[5]) for a, b in zip(one[0], other[0], strict=True))
    return flat and values and one[1] == other[1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_batch_in_half_precision_is_attacked_as_the_8_bit_images_that_it_was(dtype):
    """Steps of 1/255 are below the spacing of the type: they are made in float32."""
    wide = copy.deepcopy(net()).to(dtype).float()  # the same weights, to the last bit
    expected = attack([wide], CLEAN, LABELS, RECIPE)
    result = attack([net().to(dtype)], CLEAN.to(dtype), LABELS, RECIPE)
    assert result.dtype == torch.float32
    assert torch.equal((result * 255).round() / 255, result)
    assert (result - CLEAN).abs().max() <= EPS + 1e-6
    assert (result - CLEAN).ne(0).float().mean() > 0.9
    assert (result == expected).float().mean() > (0.97 if dtype is torch.float16 else 0.8)


def test_half_precision_images_that_were_never_8_bit_are_taken_as_they_are():
    given = (CLEAN * 0.9137).half()
    seen = []
    attack([net()], given, LABELS, RECIPE, on_step=lambda t, x: seen.append(x), quantize=False)
    assert (seen[0] - given.float()).abs().max() <= RECIPE.alpha * 1.001


def test_images_of_any_precision_meet_models_of_any_precision():
    nets = [net(0), net(1).double()]
    for combine in ("ens", "rgea", "svre", "ens-logits"):
        recipe = Attack(base="di-mi", combine=combine, epsilon=EPS, steps=2)
        assert attack(nets, CLEAN, LABELS, recipe).dtype == torch.float32
        assert attack(nets, CLEAN.double(), LABELS, recipe).dtype == torch.float64
    cosines = gradient_cosines([net(0), net(0).double(), net(0).half()], CLEAN, LABELS)
    assert cosines.min() > 0.999


def test_models_and_images_of_inference_mode_work_inside_and_outside_of_it():
    expected = attack([net()], CLEAN, LABELS, RECIPE)
    with torch.inference_mode():
        made, clean, labels = net(), CLEAN.clone(), LABELS.clone()
        assert torch.equal(attack([made], clean, labels, RECIPE), expected)
        adapted = adapt(made)
        assert gradient_cosines([made, net(1)], clean, labels).isfinite().all()
    result = attack([made], clean, labels, RECIPE)
    assert torch.equal(result, expected)
    assert not result.is_inference()
    assert torch.equal(attack([adapted], clean, labels, RECIPE), expected)


def test_batch_norm_is_folded_in_a_copy_of_the_users_modules():
    mine = net().train()
    weight = mine[0].get_parameter("weight")
    weight.grad = torch.ones_like(weight)
    before = snapshot(mine)
    with Counting() as plain:
        unfolded = attack([mine], CLEAN, LABELS, RECIPE, fold=False)
    with Counting() as folded:
        result = attack([mine], CLEAN, LABELS, RECIPE)
    assert same(snapshot(mine), before)
    assert (plain.norms, folded.norms) == (8, 2)  # 2 layers x 4 steps; the folded ones' comparison
    assert (result == unfolded).float().mean() > 0.99
    assert torch.equal(unfolded, attack([mine], CLEAN, LABELS, RECIPE, fold=False))


def test_a_network_with_hooks_runs_as_it_is():
    """Tracing would run them once, on no image at all, and then leave them out."""
    mine, seen = net(), []

    def halve(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        seen.append(type(output))
        return output / 2

    mine[4].register_forward_hook(halve)
    result = attack([mine], CLEAN, LABELS, RECIPE)
    assert seen == [Tensor] * 4
    assert torch.equal(result, attack([mine], CLEAN, LABELS, RECIPE, fold=False))


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda module: torch.compile(module, backend="eager"),
        lambda module: nn.Sequential(nn.Identity(), nn.DataParallel(module)),
    ],
)
def test_wrappers_come_off_for_a_surgery(wrap):
    recipe = Attack(base="linbp-mi", epsilon=EPS, steps=2)
    mine = net()
    wrapped = wrap(mine)
    before = snapshot(mine)
    assert torch.equal(
        attack([wrapped], CLEAN, LABELS, recipe), attack([mine], CLEAN, LABELS, recipe)
    )
    assert same(snapshot(mine), before)


def test_a_distributed_module_is_attacked_outside_of_its_group(tmp_path):
    import torch.distributed as dist

    dist.init_process_group("gloo", f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(net().train())
    finally:
        dist.destroy_process_group()
    recipe = Attack(base="linbp-mi", epsilon=EPS, steps=2)
    assert torch.equal(
        attack([wrapped], CLEAN, LABELS, recipe), attack([net()], CLEAN, LABELS, recipe)
    )


def test_two_models_may_share_their_weights():
    body = net()
    first, second = adapt(body, name="a"), adapt(nn.Sequential(body), name="b", mean=(0.1,) * 3)
    before = snapshot(body)
    cosines = gradient_cosines([first, second], CLEAN, LABELS)
    assert cosines[:, 0, 1].abs().max() < 1
    assert same(snapshot(body), before)


@pytest.mark.parametrize(("off", "far"), [(1e-7, 1e-5), (-3e-8, -1e-5)])
def test_rounding_at_the_ends_of_the_range_is_clamped(off, far):
    edge = float(off > 0)
    given = CLEAN.clone()
    given[0, 0, 0, 0] = edge
    expected = attack([net()], given, LABELS, RECIPE)
    given[0, 0, 0, 0] = edge + off
    assert torch.equal(attack([net()], given, LABELS, RECIPE), expected)
    given[0, 0, 0, 0] = edge + far
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got \[.*(1\.00001|-1e-05)"):
        attack([net()], given, LABELS, RECIPE)


def test_a_classifier_with_one_output_is_refused_with_the_way_out():
    binary = nn.Sequential(nn.Flatten(), nn.Linear(192, 1))
    with pytest.raises(ValueError, match=r"one a class: make two logits .*torch.cat\(\[torch.zero"):
        attack([nn.Sequential(binary, nn.Sigmoid())], CLEAN, LABELS * 0, RECIPE)

    def logits(inputs: Tensor) -> Tensor:
        z = binary(inputs)
        return torch.cat([torch.zeros_like(z), z], 1)

    binary.eval()
    result = attack([logits], CLEAN, LABELS % 2, RECIPE)
    gained = binary(result) - binary(CLEAN)
    assert (gained[:, 0] * (1 - 2 * (LABELS % 2)) > 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: attack([net()], CLEAN, LABELS, goal="untarget"),
            "did you mean 'untargeted'.*dodging",
        ),
        (lambda: adapt(net(), task="verify"), "unknown task 'verify'.* verification"),
    ],
)
def test_a_misspelt_choice_names_all(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_choices_may_be_words():
    assert adapt(net(), task="verification").task.value == "verification"
    assert torch.equal(
        attack([net()], CLEAN, LABELS, RECIPE, goal="targeted"),
        attack([net()], CLEAN, LABELS, RECIPE, goal=Goal.TARGETED),
    )


def test_a_model_without_parameters_is_a_model():
    class Rule(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return 10 * inputs.unfold(3, 2, 2).mean((1, 2, 4))

    result = attack([Rule(), SmallNet(0)], CLEAN, LABELS, RECIPE)
    assert (result != CLEAN).any()
    assert attack([adapt(Rule())], CLEAN.double(), LABELS, RECIPE).dtype == torch.float64


def test_progress_is_shown_on_stderr_and_changes_nothing(capsys):
    seen = []
    shown = attack(
        [net()], CLEAN, LABELS, RECIPE, progress=True, on_step=lambda t, x: seen.append(t)
    )
    assert "attack" in capsys.readouterr().err
    assert seen == [1, 2, 3, 4]
    assert torch.equal(shown, attack([net()], CLEAN, LABELS, RECIPE))
    assert capsys.readouterr().err == ""


def test_networks_go_by_names_of_bundled_ones_too():
    wide, labels = torch.nn.functional.interpolate(CLEAN, 32), LABELS
    by_name = attack({"one": "quickstart/plain"}, wide, labels, RECIPE)
    assert torch.equal(by_name, attack(["quickstart/plain"], wide, labels, RECIPE))
    with pytest.raises(
        TypeError, match=r"must be a list, got one name: write \['quickstart/plain'\]"
    ):
        attack("quickstart/plain", wide, labels, RECIPE)
