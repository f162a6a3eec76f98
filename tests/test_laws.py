from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.attacks import own_parts
from gauntlet.pipeline.attacks.own_parts import load_parts
from gauntlet.pipeline.attacks.part import catalogue
from gauntlet.pipeline.laws import first_fault
from gauntlet.pipeline.problems import BadInput
from tests.toys.jobs import attacks, write

OPTIONS = {"torchjd": {"aggregator": "mean"}}
ASKS_MORE = {"fd": "trained heads", "ia": "published lambdas", "linbp": "deeper networks"}
BROKEN = {
    ("GradientRule", "combine(self, g):\n        return sum(g) + g[0].mean(0), g[0][:, :3], None"):
    "batch 1 equals batch 8: the direction of an example is another one alone",
    ("GradientRule", "combine(self, g):\n        return sum(g)"):
    "shapes, and finite: combine returns (direction, weights, fallback or None)",
    ("GradientRule", "combine(self, g):\n        return sum(g)[:, :5], g[0][:, :3], None"):
    "shapes, and finite: the direction has shape (8, 5), expected (8, 768)",
    ("View", "apply(self, x, copy, draws):\n        return x + torch.rand_like(x) / 9"):
    "the same for the same key: the view is another one when it is asked again",
    ("View", "apply(self, x, copy, draws):\n        return x.roll(1, 0)"):
    "permuting the batch permutes the results: the view of an example",
    ("Filter", "apply(self, g):\n        return g / g.abs().amax((1, 2, 3), keepdim=True)"):
    "finite on a zero gradient: the gradient of a surrogate is not finite",
    ("Filter", "apply(self, g):\n        return g * float('nan')"):
    "shapes, and finite: the gradient is not finite",
    ("Filter", "apply(self, g):\n        return g.nothing"):
    "v.py:10: 'broken': shapes, and finite: AttributeError: 'Tensor' object has no attribute",
    ("Update", "advance(self, x, d, memory, step):\n        return x + d.sign(), None"):
    "stays in the ball: ",
    ("Update", "remember(self, d, memory):\n        return d / d.std()"):
    "batch 1 equals batch 8: the memory of an example",
    ("Start", "point(self, clean, ball, draws):\n        return clean + 0.5"):
    "stays in the ball: the start lies outside the ball",
}  # fmt: skip


def text(kind: str, body: str) -> str:
    head = f"import torch\nfrom gauntlet.parts import {kind}, register\n\n\n@register\n"
    return f'{head}class Broken({kind}):\n    token = "broken"\n\n    def {body}\n'


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    for path in list(own_parts._loaded):
        own_parts._drop(path)


@pytest.mark.parametrize(("part", "said"), BROKEN.items(), ids=range(len(BROKEN)))
def test_a_broken_law_is_said_with_its_place(tmp_path: Path, part: tuple[str, str], said: str):
    (tmp_path / "v.py").write_text(text(*part))
    (made,) = load_parts(tmp_path / "v.py")
    fault = first_fault(made())
    assert fault is not None
    assert said in f"{fault.place}: 'broken': {fault.law}: {fault.what}"
    assert fault.place.startswith(f"{tmp_path}/v.py:")


@pytest.mark.slow
@pytest.mark.parametrize("token", [part.token for part in catalogue()])
def test_every_part_that_comes_along_keeps_the_laws(token: str) -> None:
    if token in ASKS_MORE:
        pytest.skip(f"asks for {ASKS_MORE[token]}")
    part = next(part for part in catalogue() if part.token == token)
    assert first_fault(part(**OPTIONS.get(token, {}))) is None


def test_the_command_asks_and_a_job_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text(*next(iter(BROKEN))))
    done = CliRunner().invoke(app, ["methods", "--verify", str(file)], env={"COLUMNS": "150"})
    assert done.exit_code == 1
    assert "mine.py:5: 'broken': batch 1 equals batch 8: the direction" in done.output
    path = write(tmp_path, attacks("  - {combine: broken}"))
    with pytest.raises(BadInput) as caught:
        open_job(path, allowed=[str(file)])
    assert "job.yaml:10: attacks[0].combine: " in str(caught.value)
    assert "'broken': batch 1 equals batch 8" in str(caught.value)
