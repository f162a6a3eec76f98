"""Whether networks can take surgeries and have the layers: said before a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from gauntlet.jobs.spec.checks import networks
from gauntlet.jobs.spec.loading import load
from tests.toys.jobs import attacks, problems, write

CALLS: list[str] = []
RESOURCES = "resources: {placement: in-process, batch: 4}\n"
RESNET = 'source: "torchvision/resnet18"'
PLAIN = 'source: "import:tests.toys.jobs:network", options: {seed: 0}'


def counted(name: str) -> nn.Module:
    CALLS.append(name)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(4 * 36, 5))  # fmt: skip


def by_value(fail: bool = False) -> nn.Module:
    if fail:
        raise RuntimeError("no such weights")

    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.sum() > 0:
                images = -images
            outputs: torch.Tensor = self.linear(images.mean((2, 3)))
            return outputs

    return Branching()


def test_a_surgery_without_residual_branches_is_an_error_at_the_attack(tmp_path: Path) -> None:
    found = problems(tmp_path, attacks("  - {base: i}\n  - {base: sgm-mi, surrogates: [s1]}"))
    assert found == [
        "job.yaml:11: attacks[1].base: sgm on surrogate 's1': the network has no residual sums and "
        "no dense layers to decay"
    ]


def test_every_surrogate_and_every_part_is_named_once(tmp_path: Path) -> None:
    text = (
        "  - {grid: {base: [sgm, sgm-mi], epsilon: [1/255, 2/255]}, options: {sgm: {gamma: 0.3}}}"
    )
    found = problems(tmp_path, attacks(text))
    assert len(found) == 2
    for line, name in zip(found, ("s0", "s1"), strict=True):
        assert line.startswith("job.yaml:10: attacks[0].options.sgm: sgm on surrogate")
        assert f"{name!r}: the network has no residual sums" in line
    found = problems(
        tmp_path, attacks("  - {base: ghost-sgm, surrogates: [s0], options: {ghost: {tau: 0.1}}}")
    )
    assert [line.partition(" on surrogate")[0] for line in found] == [
        "job.yaml:10: attacks[0].options.ghost: ghost",
        "job.yaml:10: attacks[0].base: sgm",
    ]


def test_an_unknown_layer_is_answered_with_near_names(tmp_path: Path) -> None:
    text = "  - {base: i, objective: fi, surrogates: [s0], options: {fi: {layer: LAYER}}}"
    change = (PLAIN, RESNET)
    (line,) = problems(tmp_path, change, attacks(text.replace("LAYER", "layr2")))
    assert "attacks[0].options.fi.layer: fi on surrogate 's0': unknown layer 'layr2'" in line
    assert "did you mean 'layer2'" in line
    for layer in ("layer2", "layer3.0.relu", "null"):
        load(write(tmp_path, change, attacks(text.replace("LAYER", layer))))


def test_folded_batch_norms_cannot_be_named(tmp_path: Path) -> None:
    text = "  - {base: i, objective: fi, surrogates: [s0], options: {fi: {layer: layer2.0.bn1}}}"
    change = (PLAIN, RESNET)
    (line,) = problems(tmp_path, change, attacks(text))
    assert "unknown layer 'layer2.0.bn1'" in line
    unfolded = ("batch: 4}", "batch: 4, fold: false}")
    load(write(tmp_path, change, attacks(text), unfolded))


def test_surgery_of_the_earlier_attack_of_il_is_tried_too(tmp_path: Path) -> None:
    text = "  - {base: i, objective: il, options: {il: {base: sgm-mi}}, surrogates: [s0]}"
    (line,) = problems(tmp_path, attacks(text))
    assert "attacks[0].base: sgm on surrogate 's0'" in line


def test_no_weights_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gauntlet.pipeline.models.sources.torchvision_source.fetch_url",
        lambda *_: pytest.fail("looked for weights"),
    )
    before = torch.get_rng_state()
    load(write(tmp_path, (PLAIN, RESNET), attacks("  - {base: sgm-linbp, surrogates: [s0]}")))
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_are_made_once_and_only_where_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = (
        PLAIN,
        'source: "import:tests.jobs.spec.checks.test_networks:counted", options: {name: s0}',
    )
    tried: list[networks.Demand] = []
    real = networks.misfits

    def watched(net: nn.Module, wish: networks.Demand) -> list[networks.Misfit]:
        tried.append(wish)
        return real(net, wish)

    monkeypatch.setattr(networks, "misfits", watched)
    CALLS.clear()
    load(write(tmp_path, mine))
    load(write(tmp_path, mine, attacks("  - {base: linbp, surrogates: [s1]}")))
    assert CALLS == []
    tried.clear()
    text = "  - {grid: {base: [linbp, linbp-mi], epsilon: [1/255, 2/255]}, surrogates: [s0]}"
    load(write(tmp_path, mine, attacks(text)))
    assert CALLS == ["s0"]
    assert len(tried) == 1


def test_what_cannot_be_traced_is_refused_where_tracing_is_needed(tmp_path: Path) -> None:
    mine = (PLAIN, 'source: "import:tests.jobs.spec.checks.test_networks:by_value"')
    load(write(tmp_path, mine))
    (line,) = problems(tmp_path, mine, attacks("  - {base: linbp, surrogates: [s0]}"))
    assert "attacks[0].base: linbp on surrogate 's0': Branching cannot be rewritten" in line
    assert "if images.sum() > 0:" in line


def test_a_factory_that_fails_is_reported_at_the_model(tmp_path: Path) -> None:
    mine = (
        PLAIN,
        'source: "import:tests.jobs.spec.checks.test_networks:by_value", options: {fail: true}',
    )
    (line,) = problems(tmp_path, mine, attacks("  - {base: linbp}"))
    assert line.startswith(
        "job.yaml:5: surrogates[0].source: tests.jobs.spec.checks.test_networks:by_value in "
    )
    assert line.endswith("test_networks.py failed: RuntimeError: no such weights")


def test_a_broken_model_is_reported_once(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, (PLAIN, 'source: "torchvision/resnet81"'),
                       attacks("  - {base: sgm, surrogates: [s0]}"))  # fmt: skip
    assert "unknown torchvision model" in line


def test_a_mean_is_tried_as_a_run_has_it(tmp_path: Path) -> None:
    members = "[{name: a, source: torchvision/resnet18}, {name: b, source: torchvision/vgg11}]"
    mean = (PLAIN, f'source: "mean:logits", members: {members}')
    (line,) = problems(tmp_path, mean, attacks("  - {base: linbp, surrogates: [s0]}"))
    assert "attacks[0].base: linbp on surrogate 's0': MeanLogits cannot be rewritten" in line


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("{grid: 9}", "9 x 9 grid on an image of 8 x 8 pixels: cells would be empty"),
        ("{}", "16 x 16 grid on an image of 8 x 8 pixels: cells would be empty"),
        ("{grid: [2, 9]}", "2 x 9 grid on an image of 8 x 8 pixels: cells would be empty"),
        ("{grid: 3, borders: floor, neighbours: 4}", "cells would differ in size"),
        ("{grid: 3, borders: floor, orders: [0]}", "cells would differ in size"),
    ],
)
def test_a_grid_that_the_images_cannot_take_is_an_error(
    tmp_path: Path, given: str, reason: str
) -> None:
    wanted = (RESOURCES, f"{RESOURCES}evaluate: {{interactions: {given}}}\n")
    (line,) = problems(tmp_path, wanted)
    assert line.startswith("job.yaml:12: evaluate.interactions")
    assert reason in line


@pytest.mark.parametrize(
    "given", ["{grid: 8}", "{grid: 3, neighbours: 4}", "{grid: 3, borders: floor}"]
)
def test_a_grid_that_the_images_can_take_is_none(tmp_path: Path, given: str) -> None:
    load(write(tmp_path, (RESOURCES, f"{RESOURCES}evaluate: {{interactions: {given}}}\n")))


@pytest.mark.parametrize(
    ("attack", "place"),
    [
        ("{base: mi+ir, options: {ir: {grid: 9}}}", "options.ir.grid: ir: 9 x 9 grid"),
        ("{base: mi+ir, options: {ir: {sets: 2}}}", "options.ir: ir: 16 x 16 grid"),
        ("{base: mi+ir-mean}", "base: ir-mean: 16 x 16 grid"),
        (
            "{base: i+ir-closed, options: {ir-closed: {self_terms: remove}}}",
            "options.ir-closed: ir-closed: 16 x 16 grid",
        ),
        ("{base: i, objective: il, options: {il: {base: ir}}}", "base: ir: 16 x 16 grid"),
    ],
)
def test_a_penalty_with_cells_smaller_than_a_pixel_is_an_error(
    tmp_path: Path, attack: str, place: str
) -> None:
    (line,) = problems(tmp_path, attacks(f"  - {attack}"))
    assert line.startswith(f"job.yaml:10: attacks[0].{place} on an image of 8 x 8 pixels")


def test_penalties_whose_cells_hold_pixels_are_none(tmp_path: Path) -> None:
    text = "  - {base: ir, options: {ir: {grid: 3, borders: floor}}}\n  - {base: ir-closed}"
    load(write(tmp_path, attacks(text)))
