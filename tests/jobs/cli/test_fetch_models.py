"""`check` lists what a job lacks, and `models fetch` gets what has an address."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.jobs.cli.folders import bundled_jobs, find_job
from gauntlet.jobs.spec.loading import open_job
from gauntlet.pipeline.models.architectures.cifar_resnet import CifarResNet
from tests.toys.jobs import write
from tests.toys.server import served

PAPER = [f"rgea-table{n}" for n in (2, 3, 4)] + [f"ir-table{n}" for n in range(3, 10)]


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


def test_files_of_a_job_are_listed_then_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    target = (
        '{name: t0, source: "import:tests.toys.jobs:network", options: {seed: 2}}',
        "{name: t0, source: 'file:nets/a.safetensors', architecture: cifar-resnet-20, "
        "fetch: ADDRESS}\n"
        "  - {name: t1, source: 'file:nets/b.pth', architecture: cifar-resnet-20, fetch: by mail}",
    )
    with served() as files:
        files.content["/a.safetensors"] = save(CifarResNet(3).state_dict())
        address = f"{files.address}/a.safetensors"
        job = str(write(tmp_path, target, ("ADDRESS", address)))
        checked = gauntlet("check", job)
        assert checked.exit_code == 2
        lines = checked.stdout.splitlines()
        assert lines == [
            "to fetch: 2 files of weights",
            f"  t0: from {address} to {tmp_path}/nets/a.safetensors",
            f"  t1: by mail (by hand) to {tmp_path}/nets/b.pth",
            f"  gauntlet models fetch {job}: gets 1 of the 2",
        ]
        fetched = gauntlet("models", "fetch", job)
    assert fetched.exit_code == 2
    assert fetched.stderr == f"{tmp_path}/nets/b.pth: to be fetched by hand, from by mail\n"
    assert (tmp_path / "nets/a.safetensors").is_file()
    torch.save(CifarResNet(3).state_dict(), tmp_path / "nets" / "b.pth")
    again = gauntlet("models", "fetch", job)
    assert (again.exit_code, again.stdout) == (0, "every file of the models is here\n")
    assert "to fetch" not in gauntlet("check", job).stdout


@pytest.mark.parametrize("name", PAPER)
def test_a_job_of_the_papers_says_where_everything_is_to_be_had(name: str, tmp_path: Path) -> None:
    plan = open_job(find_job(f"paper/{name}"), [f"root={tmp_path}"], checks=()).plan
    assert plan.name == name
    for spec in (*plan.surrogates, *plan.targets):
        on_disk = spec.source.startswith(("file:", "trained:"))
        assert (spec.fetch is not None) == on_disk, spec.name


def test_tables_are_found_by_their_former_names() -> None:
    assert {f"paper/{name}" for name in PAPER} <= set(bundled_jobs())
    for number in (3, 4, 6, 7, 8, 9):
        for former in (f"interactions/table{number}", f"table{number}", f"ir-table{number}"):
            assert find_job(former).name == f"ir-table{number}.yaml"
