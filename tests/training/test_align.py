"""Fine-tuning for IA's criterion: as a function of the weights, the updates, the file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from gauntlet.pipeline.draws import Draws
from gauntlet.pipeline.models.build import build
from gauntlet.pipeline.models.checkpoint import weights_fingerprint
from gauntlet.pipeline.models.model import Model, adapt
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.training.align import Aligned, align, climbable, write_aligned
from gauntlet.pipeline.training.ia_search import alignment
from gauntlet.pipeline.training.settings import AlignSettings
from gauntlet.pipeline.training.trained_file import about_trained
from tests.toys.classifiers import Residual, images, model

BRIEF = AlignSettings(
    epochs=10, batch=24, rate=0.01, weight=3, beta=5, probes=4, judge_probes=16, judge_steps=3
)


def random(purpose: str, *shape: int) -> Tensor:
    return Draws.keyed(4, ["toy"]).normal(purpose, shape, dtype=torch.float64)[0]


def smooth_net() -> nn.Module:
    made = nn.Sequential(nn.Linear(6, 5), nn.Softplus(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for name, value in made.named_parameters():
            value.copy_(random(name, *value.shape))
    return made


def basis(rows: int, width: int) -> Tensor:
    """Probes that make the trace exact: sqrt(D) e_j."""
    return width**0.5 * torch.eye(width, dtype=torch.float64)[:, None].expand(width, rows, width)


def test_o_ia_1_climbable_criterion_is_the_formula_of_gradient_and_hessian() -> None:
    made, at, labels = smooth_net(), random("at", 4, 6), torch.tensor([0, 1, 2, 1])
    found = climbable(made, at, labels, basis(4, 6))
    expected = alignment(made, at, labels, basis(4, 6))
    torch.testing.assert_close(found.detach(), expected, rtol=1e-12, atol=1e-13)
    assert float(expected.abs().min()) > 1e-3
    # Rows do not meet.
    alone = climbable(made, at[2:3], labels[2:3], basis(1, 6))
    torch.testing.assert_close(alone, found[2:3], rtol=1e-12, atol=1e-13)


def test_its_estimate_has_the_right_mean() -> None:
    made, at, labels = smooth_net(), random("at", 1, 6), torch.tensor([1])
    count = 4000
    signs = 2.0 * (random("signs", count, 1, 6) > 0).double() - 1
    rows = at.expand(count, 6)
    each = climbable(made, rows, labels.expand(count), signs[:, 0][None]).detach()
    exact = float(alignment(made, at, labels, basis(1, 6)))
    error = float(each.std()) / count**0.5
    assert abs(float(each.mean()) - exact) < 4 * error
    assert error < 0.1 * abs(exact)


def test_its_gradient_towards_the_weights_is_that_of_finite_differences() -> None:
    made, at, labels = smooth_net(), random("at", 3, 6), torch.tensor([0, 1, 2])
    probes = basis(3, 6)[:4]
    weights = {name: value.detach() for name, value in made.named_parameters()}

    def mean(step: float, towards: dict[str, Tensor]) -> Tensor:
        moved = {name: value + step * towards[name] for name, value in weights.items()}
        return climbable(lambda x: functional_call(made, moved, (x,)), at, labels, probes).mean()

    gradients = torch.autograd.grad(
        climbable(made, at, labels, probes).mean(), list(made.parameters())
    )
    towards = {name: random(f"towards {name}", *value.shape) for name, value in weights.items()}
    slope = sum(
        float((gradient * towards[name]).sum())
        for name, gradient in zip(weights, gradients, strict=True)
    )
    step = 1e-5
    numeric = float(mean(step, towards) - mean(-step, towards)) / (2 * step)
    assert slope == pytest.approx(numeric, rel=1e-7)
    assert abs(slope) > 1e-3


def test_a_zero_gradient_has_alignment_zero_and_spoils_nothing() -> None:
    made, at = smooth_net(), random("at", 2, 6)
    scale = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    labels, probes = torch.tensor([0, 1]), basis(2, 6)
    found = climbable(lambda x: made(x * scale), at, labels, probes)
    assert float(found[0]) == 0
    gradients = torch.autograd.grad(found.sum(), list(made.parameters())[:3])
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    linear = nn.Linear(6, 1).double()
    assert torch.equal(
        climbable(linear, at, torch.tensor([0, 0]), probes), torch.zeros(2, dtype=torch.float64)
    )


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Aligned]:
    """A network, and what became of its copy."""
    net = model()
    return net, align(net, images(tmp_path_factory.mktemp("aligned")), BRIEF)


def test_alignment_rises_and_accuracy_is_kept(
    aligned: tuple[Model, Aligned], tmp_path: Path
) -> None:
    net, done = aligned
    data = images(tmp_path)
    assert weights_fingerprint(net.network) == weights_fingerprint(model().network)
    assert done.after.alignment > 1.3 * done.before.alignment
    assert done.sound(0.2)
    assert not done.sound(done.before.accuracy.clean - done.after.accuracy.clean - 0.01)
    assert len(done.losses) == 10
    # Without the criterion it does not rise that much: the rise is the criterion's doing.
    plain = align(net, data, BRIEF.model_copy(update={"weight": 0}))
    assert plain.after.alignment < 0.8 * done.after.alignment
    # The form is the original's, kinks and running statistics included.
    assert isinstance(done.network, Residual)
    assert isinstance(net.network, Residual)
    assert isinstance(done.network.relu, nn.ReLU)
    for name, value in net.network.named_buffers():
        assert torch.equal(done.network.get_buffer(name), value)
    changed = [
        not torch.equal(value, net.network.get_parameter(name))
        for name, value in done.network.named_parameters()
    ]
    assert all(changed)


def test_training_is_keyed_and_every_setting_counts(tmp_path: Path) -> None:
    net, data = model(), images(tmp_path).rows(torch.arange(60))
    brief = BRIEF.model_copy(update={"epochs": 1})
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(weights_fingerprint(align(net, data, brief).network))
        assert torch.equal(before, torch.get_rng_state())
    assert found[0] == found[1]
    for field, value in {"beta": 20, "probes": 1, "weight": 0.1, "flips": False,
                         "seed": 1}.items():  # fmt: skip
        other = align(net, data, brief.model_copy(update={field: value}))
        assert weights_fingerprint(other.network) != found[0], field
    # Judged otherwise, trained alike.
    for field, value in {"epsilon": 8 / 255, "judge_steps": 5, "judge_probes": 3}.items():
        done = align(net, data, brief.model_copy(update={field: value}))
        assert weights_fingerprint(done.network) == found[0]


def test_a_network_without_kinks_is_climbed_as_it_is(tmp_path: Path) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.GELU(), nn.Linear(4, 3))
    with torch.no_grad():
        for name, value in plain.named_parameters():
            value.copy_(0.2 * Draws.keyed(0, ["w"]).normal(name, value.shape)[0])
    done = align(adapt(plain), images(tmp_path), BRIEF.model_copy(update={"epochs": 1}))
    assert done.after.alignment != done.before.alignment


def test_what_cannot_be_traced_is_refused(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, given: Tensor) -> Tensor:
            if given.sum() > 0:
                given = -given
            outputs: Tensor = self.linear(given.mean((2, 3)))
            return outputs

    with pytest.raises(BadInput, match="'model': Branching cannot be rewritten"):
        align(adapt(Branching()), images(tmp_path), BRIEF)


def test_the_file_holds_weights_and_provenance(
    aligned: tuple[Model, Aligned], tmp_path: Path
) -> None:
    net, done = aligned
    path = tmp_path / "aligned.safetensors"
    write_aligned(path, done, net, BRIEF)
    own = {"source": "import:tests.toys.classifiers:network"}
    again = build(ModelSpec(name="a", source=f"trained:{path}", options=own), permission=granted())
    assert again.weights_fingerprint == weights_fingerprint(done.network)
    about = about_trained(path)
    assert about["method"] == "align"
    assert AlignSettings(**about["settings"]) == BRIEF
    assert about["alignment"] == {
        "before": done.before.alignment, "after": done.after.alignment
    }  # fmt: skip
    assert about["accuracy"]["after"]["clean"] == done.after.accuracy.clean
    assert about["original"]["weights"] == net.weights_fingerprint
