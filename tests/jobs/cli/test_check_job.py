"""`check` accepts nothing that `run` then refuses, and says what only running can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from tests.toys.datasets import write_image
from tests.toys.jobs import write


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


@pytest.fixture
def job(tmp_path: Path) -> str:
    return str(write(tmp_path, ("placement: in-process, ", "")))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--placement", "packed", "--set", "resources.workers=100000"),
         "resources.workers: 100000 processes for surrogates and 1 for targets take 25000.2 GiB"),
        (("--placement", "pinned", "--set", "resources.replicas=100000"),
         "resources.replicas: 200000 processes for surrogates"),
        (("--placement", "packed", "--set", "resources.surrogate_gpus=64"),
         "resources.surrogate_gpus: "),
        (("--set", "output=/proc/x"), "output: /proc/x/tiny-"),
        (("--set", "output=ftp://x"), "cannot be opened: expected s3://BUCKET/PREFIX"),
        (("--out", "/proc/x", "--placement", "pinned", "--set", "resources.target_gpus=64"),
         "2 problems"),
        (("--placement", "in-process", "--address", "auto"), "--address: placement in-process"),
        (("--placement", "packed", "--address", "127.0.0.1:1"), "--address: no Ray cluster"),
    ],
)  # fmt: skip
def test_check_refuses_what_run_refuses(
    options: tuple[str, ...], said: str, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    for verb in ("check", "run"):
        result = gauntlet(verb, job, *options)
        assert result.exit_code == 2, result.output
        assert said in result.stderr


def test_check_says_where_the_work_is_done_and_what_only_running_tells(
    job: str, tmp_path: Path
) -> None:
    options = ("--placement", "packed", "--out", str(tmp_path / "run"))
    more = ("--set", "resources.workers=2", "--set", "select.correct=all")
    result = gauntlet("check", job, *options, *more)
    assert result.exit_code == 0, result.output
    place, results, unknown = result.stdout.splitlines()[-3:]
    assert place.startswith("placement: packed: 2 surrogate processes of 1 threads")
    assert place.endswith("takes shows only when the first has attacked a batch")
    assert results == f"results: in {tmp_path / 'run'}"
    assert unknown == "only running tells: how many examples are left to attack"
    assert not (tmp_path / "run").exists()


def test_check_says_where_the_names_of_classes_are_others(tmp_path: Path) -> None:
    for synset in ("n01440764", "n02106662"):  # tench, class 0; German shepherd, class 235
        write_image(tmp_path / "photographs" / synset / "1.png", 64, 64)
    toy, target = "import:tests.toys.jobs:network", "torchvision/squeezenet1_0"
    path = write(
        tmp_path,
        ("{source: npz, path: images.npz}", "{source: folder, root: photographs}"),
        (f'"{toy}", options: {{seed: 2}}', target),
        (toy, "torchvision/squeezenet1_1"),
        *((f", options: {{seed: {seed}}}", "") for seed in range(2)),
    )
    result = gauntlet("check", str(path))
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("classes of")]
    assert line == (
        "classes of s0, s1, t0: 1 of 2 labels are other classes: 1 is 'n02106662' in the data and "
        "'goldfish' there, which has 'n02106662' as 235"
    )
