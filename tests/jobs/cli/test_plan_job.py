"""`plan` says what a run would cost, on this machine or one that is not here."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gauntlet.jobs.cli.app import app
from gauntlet.pipeline import user_cache
from tests.toys.jobs import attacks, write

TIMED = ("--ms", "s0=10", "--ms", "s1=30", "--ms", "t0=4")


def gauntlet(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    return str(write(tmp_path, ("placement: in-process, ", "")))


def test_a_job_is_measured_here_and_again_from_the_cache(job: str) -> None:
    first, second = (gauntlet("plan", job, "--placement", "in-process") for _ in range(2))
    assert first.exit_code == 0, first.output
    assert "8 examples of 8 x 8 px, batches of 4, 1 attacks, 2 units of work" in first.stdout
    assert "bottleneck: this process, mostly with" in first.stdout
    assert measured(first) == measured(second)


def measured(result: Result) -> list[str]:
    lines = result.stdout.splitlines()
    return [line for line in lines if line.split()[:1] in (["s0"], ["s1"], ["t0"])]


def test_given_times_need_no_model_and_name_the_bottleneck(job: str, tmp_path: Path) -> None:
    text = Path(job).read_text().replace("tests.toys.jobs:network", "nowhere:nothing")
    Path(job).write_text(text)
    given = gauntlet("plan", job, "--placement", "in-process", "--examples", "40000", *TIMED)
    assert given.exit_code == 0, given.output
    # 10,000 batches: two passes of 10 and 30 ms, and the target, twice, forward alone.
    work = 10_000 * (2 * 0.04 + 2 * 0.002)
    assert seconds(given) == pytest.approx(work, rel=0.25)
    assert "but most" not in given.output
    short = gauntlet("plan", job, "--placement", "packed", "--examples", "4", *TIMED)
    assert "; but most of it is start" in " ".join(short.output.split())
    few = gauntlet("plan", job, *TIMED[2:])
    assert few.exit_code == 2
    assert "model 's0': cannot be built here" in few.stderr
    assert "give its time: --ms s0=MILLISECONDS" in few.stderr


def seconds(result: Result) -> float:
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("time: ")]
    words = line.removeprefix("time: ").partition(",")[0].split()
    unit = {"h": 3600, "min": 60, "s": 1}
    return sum(int(n) * unit[u] for n, u in zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ms", "s9=5"), "--ms: unknown model 's9'; did you mean 's1' or 's0'?"),
        (("--ms", "s0=fast"), "--ms: s0: expected milliseconds above 0, got 'fast'"),
        (("--ms", "s0=-1"), "--ms: s0: expected milliseconds above 0, got '-1'"),
        (("--ms", "5"), "--ms: expected MODEL=5, got '5'"),
        (("--gpus", "0", "--gpu-memory", "80"), "--gpu-memory: there is no GPU"),
        (("--gpus", "100000000"), "less than or equal to 4096"),
        (("--cpus", "1000000000"), "less than or equal to 65536"),
        (("--gpus", "1", "--placement", "packed", "--set", "resources.surrogate_gpus=2"),
         "resources.surrogate_gpus"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(options: tuple[str, ...], said: str, job: str) -> None:
    result = gauntlet("plan", job, *options)
    assert result.exit_code == 2, result.output
    assert said in result.stderr


def test_gpus_that_are_not_here_are_laid_out(job: str) -> None:
    machine = ("--cpus", "64", "--gpus", "8", "--gpu-memory", "80")
    pinned = ("--placement", "pinned", "--set", "resources.replicas=4")
    result = gauntlet("plan", job, *machine, *pinned, "--examples", "4000", *TIMED)
    assert result.exit_code == 0, result.output
    assert "tiny on 64 CPUs, 8 GPUs of 80 GiB" in result.stdout
    places = [line.split() for line in result.stdout.splitlines()]
    for name in ("s0", "s1"):
        assert any(words[:2] == ["surrogate", "4"] and words[-1] == name for words in places)
    assert any(words[:2] == ["hub", "4"] for words in places)
    assert "bottleneck:" in result.stdout


def test_targets_take_turns_where_there_are_fewer_places(job: str) -> None:
    text = Path(job).read_text()
    more = text.replace("targets:\n", "targets:\n  - {like: t0, name: t1, defence: resize-pad}\n")
    Path(job).write_text(more)
    result = gauntlet("plan", job, "--cpus", "2", *TIMED, "--ms", "t1=4")
    assert result.exit_code == 0, result.output
    assert "t1, t0 (in turn)" in result.stdout


def test_models_that_fail_here_are_told_together(job: str) -> None:
    text = Path(job).read_text()
    for seed in (0, 2):
        old = f'"import:tests.toys.jobs:network", options: {{seed: {seed}}}'
        assert old in text
        text = text.replace(old, '"import:tests.toys.jobs:Vast"')
    Path(job).write_text(text)
    result = gauntlet("plan", job, "--placement", "in-process")
    assert result.exit_code == 2, result.output
    for name in ("s0", "t0"):
        assert f"model '{name}': cannot be measured here (" in result.stderr
        assert f"give its time: --ms {name}=MILLISECONDS" in result.stderr
    assert gauntlet("plan", job, *TIMED[:2], *TIMED[4:]).exit_code == 0


def test_a_foreign_attack_has_no_time_that_pretends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAUNTLET_CACHE", str(tmp_path / "cache"))
    theirs = attacks('  - {name: theirs, source: "tests.toys.theirs:fgsm"}')
    result = gauntlet("plan", str(write(tmp_path, theirs)))
    assert result.exit_code == 0, result.output
    assert "theirs: only the attack's library knows how often it asks" in result.stdout
    assert "time: more than" in result.stdout
    assert "bottleneck: not known" in result.stdout
    assert "images a second" not in result.stdout
    assert not [*user_cache.folder("costs").glob("*")]


def test_hubs_are_counted_as_they_become(job: str) -> None:
    machine = ("--cpus", "16", "--gpus", "4", "--placement", "pinned")
    shares = ("--set", "resources.hub_gpus=0", "--set", "resources.threads=2")
    result = gauntlet("plan", job, *machine, *shares, "--examples", "400", *TIMED)
    assert result.exit_code == 0, result.output
    assert "hubs: 1 to begin with; the time is of 7" in result.stdout
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    assert ["hubs", "7"] in rows


@pytest.mark.parametrize(("gibibytes", "told"), [("0.0001", True), ("80", False)])
def test_what_a_run_does_where_packed_does_not_fit(gibibytes: str, told: bool, job: str) -> None:
    result = gauntlet("plan", job, "--cpus", "8", "--gpus", "2", "--gpu-memory", gibibytes)
    assert result.exit_code == 0, result.output
    assert ("--placement pinned plans that" in result.stdout) == told
    assert ("\nmemory: " in result.stdout) == told
