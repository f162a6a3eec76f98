"""A job of a notebook is the job that a file would be, and runs without Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from gauntlet import Attack, Job, open_run, run
from gauntlet.jobs.spec.loading import of_python, open_job
from gauntlet.pipeline.data.sources.npz import Npz
from gauntlet.pipeline.models.model_spec import ModelSpec
from gauntlet.pipeline.problems import BadInput
from gauntlet.pipeline.run.plan import Resources
from tests.toys import runs

SMALL: dict[str, Any] = runs.job(
    attacks=[{"base": "mi", "steps": 2, "epsilon": "8/255"}], select={"limit": 8}
)


def test_a_job_is_a_file_a_mapping_or_made_of_objects(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    typed = Job(
        name="small",
        task=SMALL["task"],
        root=runs.QUICKSTART,
        data=Npz(source="npz", path="shapes.npz"),
        select={"limit": 8},
        surrogates=[ModelSpec(**network) for network in SMALL["surrogates"]],
        targets=SMALL["targets"],
        attacks=(Attack(base="mi", steps=2, epsilon="8/255"),),
        resources=Resources(batch=8, threads=1),
    )
    expected = open_job(path).plan
    assert of_python(SMALL).plan == expected
    assert of_python(typed).plan == expected


def test_all_that_is_wrong_is_told_at_once_with_its_field() -> None:
    wrong = SMALL | {"attacks": [{"base": "mii"}], "sed": 1, "surrogates": ["quickstart/plein"]}
    with pytest.raises(BadInput) as caught:
        run(wrong)
    found = [str(problem) for problem in caught.value.problems]
    assert [line.partition(";")[0] for line in found] == [
        "job: sed: unknown key 'sed'",
        "job: attacks[0].base: unknown attack part 'mii'",
        "job: surrogates[0]: unknown network of the quickstart 'plein'",
    ]
    with pytest.raises(ValueError, match="unknown field 'sed'; did you mean 'seed'"):
        Job(**SMALL | {"sed": 1})
    misspelt: dict[str, Any] = {"eps": 8 / 255}
    with pytest.raises(ValueError, match=r"unknown field 'eps'; did you mean .*'epsilon'"):
        Attack(**misspelt)


def test_neither_an_attack_nor_a_run_takes_ray_and_a_run_is_opened_as_it_was_committed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(SMALL))
    script = (
        "import sys; sys.modules['ray'] = None\n"
        "import torch; from gauntlet import Attack, attack\n"
        "net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))\n"
        "x = torch.full((2, 3, 4, 4), 0.5)\n"
        "adv = attack([net], x, torch.tensor([0, 1]), Attack(base='di-ti-mi', combine='rgea'))\n"
        "assert (adv - x).abs().max() > 0.02\n"
        f"import gauntlet; made = gauntlet.run({str(job)!r}, {str(folder)!r}, progress=False)\n"
        "print(len(made.verdicts))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "16\n", done.stderr
    assert done.stderr == ""
    found = open_run(folder)
    assert repr(found) == f"Run({str(folder)!r})"
    assert found.manifest.labels == ["mi/ens/linf-8"]
    assert found.verdicts is found.verdicts
    assert len(found.traces) == 16
    assert found.examples["example"].nunique() == len(found.examples) == 8
    assert "image" not in found.examples
    assert found.failures.empty
    assert found.interactions.empty
    pd.testing.assert_frame_equal(found.verdicts, pd.read_parquet(folder / "verdicts"))
    with pytest.raises(BadInput, match="holds a finished run already"):
        run(SMALL, folder)
