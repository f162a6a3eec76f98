"""A model's pass is measured once; what is broken in the cache is measured anew."""

import json
from pathlib import Path

import pytest
import torch

from gauntlet.pipeline import user_cache
from gauntlet.pipeline.models.sources.permission import granted
from gauntlet.pipeline.run.pass_times import measured, step_bytes
from gauntlet.pipeline.run.plan import Plan
from gauntlet.pipeline.run.rehearsal import stand_in
from tests.toys.jobs import plan as tiny


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))
    return tiny(tmp_path)


def entries() -> list[Path]:
    return sorted(user_cache.folder("passes").glob("*.json"))


def test_a_pass_is_kept_by_model_role_batch_and_precision(plan: Plan) -> None:
    small, large = (stand_in(plan.task.goal, count, (8, 8)) for count in (4, 6))
    spec, permission = plan.surrogates[0], granted(["tests"])

    def entry() -> float:
        return measured(spec, "surrogate", plan, small, permission).seconds

    first = entry()
    assert first > 0
    assert entry() == first
    (kept,) = entries()
    kept.write_text(json.dumps({"seconds": 7.0, "weights": 1, "step": 1}))
    assert entry() == 7.0
    measured(spec, "surrogate", plan, large, permission)
    measured(spec, "target", plan, small, permission)
    resources = plan.resources.model_copy(update={"dtype": "float64"})
    other = plan.model_copy(update={"resources": resources})
    measured(spec, "surrogate", other, small, permission)
    assert len(entries()) == 4


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"seconds": 1}', '{"seconds": "no"}', '{"seconds": -1}', "{}"]
)
def test_a_broken_entry_is_measured_anew(plan: Plan, content: str) -> None:
    batch = stand_in(plan.task.goal, 4, (8, 8))
    measured(plan.surrogates[0], "surrogate", plan, batch, granted(["tests"]))
    (kept,) = entries()
    kept.write_text(content)
    found = measured(plan.surrogates[0], "surrogate", plan, batch, granted(["tests"]))
    assert found.seconds > 0
    assert json.loads(kept.read_text())["seconds"] == found.seconds


def test_a_pass_holds_what_its_backward_pass_needs() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(8, 16, bias=False), torch.nn.Sigmoid())
    for kept in layer.parameters():
        kept.requires_grad_(False)
    images = torch.rand(4, 8)

    def back() -> None:
        layer(images.clone().requires_grad_()).sum().backward()

    # Of the sigmoid its output, (4, 16); the largest layer has as much going in as coming out.
    assert step_bytes(back, layer) == 4 * (4 * 16 + 2 * 4 * 16)
    assert step_bytes(lambda: layer(images), layer) == 4 * 2 * 4 * 16
